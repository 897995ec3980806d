"""Promise: git's answer is awaited for a while, and why there is none is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.run import git
from envsolver.run.git import GitError, ask_git


def test_what_git_prints_is_returned(tmp_path: Path) -> None:
    ask_git(tmp_path, "init", "-q")
    (tmp_path / "a b").touch()
    assert ask_git(tmp_path, "ls-files", "-z", "--others") == "a b\0"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("#!/bin/sh\necho 'fatal: odd' >&2; exit 3\n", "^fatal: odd$"),
        ("#!/bin/sh\nexec sleep 60\n", "nothing within 0.5 s"),
        ("", "it cannot be started"),
    ],
    ids=["fails", "hangs", "is missing"],
)
def test_why_there_is_no_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    if program:
        (tmp_path / "git").write_text(program)
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere" if not program else f"{tmp_path}:/usr/bin:/bin")
    if "sleep" in program:
        monkeypatch.setattr(git, "PATIENCE_SECONDS", 0.5)
    with pytest.raises(GitError, match=words):
        ask_git(tmp_path, "status")
