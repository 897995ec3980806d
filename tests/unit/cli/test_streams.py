"""What is printed: nothing that a CI system obeys, no credentials, and never a reason to fail."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envsolver.cli.streams import GuardedStream
from envsolver.report.formatting import escape_commands, json_text

COMMANDS = [
    "::set-output name=x::1",
    "  ::add-mask::x",
    "##[error]x",
    "text ##[set-output name=x;]1",
    "##vso[task.setvariable variable=x]1",
    "##teamcity[buildNumber '1']",
    "section_start:1:x",
    "section_end:1:x",
]
OBEYED = re.compile(r"(?m)^\s*::|##[\w.-]*\[|section_(start|end):")


class Full(io.StringIO):
    """A stream that takes no more."""

    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def printed(*pieces: str) -> str:
    below = io.StringIO()
    stream = GuardedStream(below)
    for piece in pieces:
        stream.write(piece)
    return below.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("before", ["", "boom\n", "boom\r", "boom\r\n"])
def test_what_a_ci_system_would_obey_is_escaped(before: str, command: str) -> None:
    text = printed(f"{before}{command}\n")
    assert not OBEYED.search(text.replace("\r", "\n"))
    assert text.replace("\\", "") == f"{before}{command}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_pieces_is_escaped_as_well(command: str) -> None:
    assert printed("boom\n", *command) == printed("boom\n", command)


@pytest.mark.parametrize("text", ["a[::2]", "std::vector", "x ::y", "# [note]", "## heading", ": :", "section_start"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printed(text, "\n") == f"{text}\n"


@given(st.lists(st.sampled_from([":", "#", "[", "a", " ", "\n", "\r", "section_start", "vso", "\\"])))
def test_no_text_in_any_pieces_makes_a_command(pieces: list[str]) -> None:
    text = printed(*pieces)
    assert not OBEYED.search(text.replace("\r", "\n"))
    assert text == escape_commands("".join(pieces))


def test_commands_of_our_own_are_written_as_they_are() -> None:
    below = io.StringIO()
    GuardedStream(below).write_commands("::error file=a::x\n")
    assert below.getvalue() == "::error file=a::x\n"


def test_credentials_do_not_reach_the_terminal() -> None:
    assert printed("from https://ada:word@host\n") == "from https://****@host\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_json_that_holds_a_command_means_the_same_without_it(command: str) -> None:
    text = printed(json_text({command: [command]}))
    assert json.loads(text) == {command: [command]}
    assert not OBEYED.search(text)


def test_a_stream_that_takes_no_more_is_given_up_and_that_is_told_once() -> None:
    told: list[Exception] = []
    stream = GuardedStream(Full(), told.append)
    for _ in range(3):
        assert stream.write("text") == 4
        stream.flush()
    assert stream.failed
    assert len(told) == 1


def test_a_stream_that_is_closed_or_was_never_there_takes_everything() -> None:
    closed = io.StringIO()
    closed.close()
    for below in (closed, None):
        stream = GuardedStream(below)
        stream.write("text")
        stream.flush()
        assert stream.failed
        assert not stream.isatty()


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "caf\\xe9 \\u2026"), ("latin-1", "café \\u2026")])
def test_what_an_encoding_lacks_is_written_escaped(encoding: str, shown: str) -> None:
    raw = io.BytesIO()
    stream = GuardedStream(io.TextIOWrapper(raw, encoding=encoding))
    stream.write("café …")
    stream.flush()
    assert raw.getvalue().decode(encoding) == shown
