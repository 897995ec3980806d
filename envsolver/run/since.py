"""What git says changed since a commit, and whether a notebook of which nothing is remembered may depend on it.

Without a history it is unknown what a notebook reads, so any file may matter, but for other notebooks that it does not
name. This is coarse, and runs too many rather than too few.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from envsolver.core.errors import ConfigurationError
from envsolver.run.git import GitError, ask_git

_NOTEBOOK = ".ipynb"


def changed_since(root: Path, commit: str) -> tuple[str, ...]:
    """Return the files below a folder that changed since a commit or are new, sorted; what git ignores is left out.

    Raises
    ------
    ConfigurationError
        Git cannot tell.
    """
    # What begins with a dash is an option, and no commit.
    named = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    changed = _git(root, "diff", "--name-only", "-z", "--no-renames", "--relative", named.strip(), "--")
    new = _git(root, "ls-files", "-z", "--others", "--exclude-standard")
    return tuple(sorted({*filter(None, f"{changed}\0{new}".split("\0"))}))


def _git(root: Path, *arguments: str) -> str:
    try:
        return ask_git(root, *arguments)
    except GitError as error:
        fault = f"--since asks git: {error}" if str(error) else "--since: there is no such commit"
        tip = "In CI, fetch the commit first; actions/checkout does with `fetch-depth: 0`."
        raise ConfigurationError([fault], tip=tip) from error


def why_since(root: Path, notebook: str, changed: Iterable[str]) -> str:
    """Return which change a notebook may depend on, as a phrase; empty for none."""
    text = None
    for path in changed:
        if path == notebook or not path.endswith(_NOTEBOOK):
            return f"{path} changed"
        text = text if text is not None else (root / notebook).read_text(encoding="utf-8", errors="replace")
        name = PurePosixPath(path).stem
        if name in text or json.dumps(name)[1:-1] in text:
            return f"{path} changed, which it names"
    return ""
