"""What git says of a project's files."""

from __future__ import annotations

import subprocess
from pathlib import Path

PATIENCE_SECONDS = 300.0
"""How long git may take to answer."""


class GitError(Exception):
    """Git cannot tell; the message has its words, or why there are none."""


def ask_git(folder: Path, *arguments: str) -> str:
    """Return what git prints in a folder; bytes that are not UTF-8 become surrogates.

    Raises
    ------
    GitError
        Git cannot be started, does not answer in time, or fails.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607  the one that is found first, as a person's own
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    except OSError as error:
        raise GitError(f"it cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"nothing within {PATIENCE_SECONDS:g} s") from error
    if done.returncode:
        raise GitError(done.stderr.decode(errors="replace").strip())
    return done.stdout.decode(errors="surrogateescape")
