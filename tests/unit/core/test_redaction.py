"""Credentials in addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.core.redaction import redact, redact_file


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:s3cret@host/simple/", "https://****@host/simple/"),
        ("x @ git+https://ghp_abc@github.com/a/b.git@v1", "x @ git+https://****@github.com/a/b.git@v1"),
        ("HTTP://ada:p@ss@host", "HTTP://****@host"),
        ("git+ssh://git:word@host/a", "git+ssh://****@host/a"),
        ("ftp://ada:word@host and http://b:c@d", "ftp://****@host and http://****@d"),
        ("https://host/x.whl?access_token=abc&v=1#sha256=f", "https://host/x.whl?access_token=****&v=1#sha256=f"),
        ("https://host/x?X-Amz-Signature=abc", "https://host/x?X-Amz-Signature=****"),
    ],
)
def test_what_proves_who_asks_is_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "git+ssh://git@github.com/a/b.git",
        "https://host/a@b",
        "https://host?mail=a@b",
        "see https://host\nand mail ada@host",
        "name @ https://host/name-1.0-py3-none-any.whl",
        r'{"text": "https://host\nada:1@host"}',
        "<a href='https://host'>x</a> a@b",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert redact(text) == text


def test_a_long_text_is_read_in_one_go() -> None:
    text = "http://" + "a:" * 1_000_000
    assert redact(text) == text


def test_a_log_keeps_all_but_its_credentials(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"\xff\x00 from https://ada:word@host\r\n\xfe")
    redact_file(log)
    assert log.read_bytes() == b"\xff\x00 from https://****@host\r\n\xfe"
