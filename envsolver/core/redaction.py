"""Credentials in addresses, which must not leave with a report, a log or a line on the terminal."""

from __future__ import annotations

import re
from pathlib import Path

HIDDEN = "****"
"""What stands in the place of a credential."""

# A user alone is a token for a web server, and a mere name, such as `git`, for ssh.
_PART = r"""[^\s/?#"'<>\\"""
_USER = re.compile(rf"(?:(?<=http)|(?<=https))://{_PART}]*@|://{_PART}:]*:{_PART}]*@", re.IGNORECASE)
_PARAMETER = re.compile(
    r"""([?&;][\w.-]*(?:token|passw(?:or)?d|secret|signature|api[_-]?key|sig)=)[^\s&;#"'<>\\]+""", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return `text` without what addresses in it hold to prove who asks: users, passwords, tokens, signatures."""
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\g<1>{HIDDEN}", _USER.sub(f"://{HIDDEN}@", text))


def redact_file(path: Path) -> None:
    """Take out of a file what addresses in it hold to prove who asks; bytes that are no text stay as they are.

    Raises
    ------
    OSError
        It cannot be read or written.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    hidden = redact(text)
    if hidden != text:
        path.write_bytes(hidden.encode("utf-8", "surrogateescape"))
