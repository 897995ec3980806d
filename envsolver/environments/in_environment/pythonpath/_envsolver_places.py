# ruff: noqa: INP001  # its directory is put on the import path; it is no package
"""What stands at the paths and addresses that a notebook installs from, and whether that is what is installed.

Runs on the environment's interpreter, as `_envsolver_guard` does.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    import importlib_metadata as metadata  # type: ignore[import-not-found,no-redef]

from _envsolver_listing import normal  # type: ignore[import-not-found]  # it stands beside this module


def is_place(text: str) -> bool:
    """Return whether a requirement is a URL or a path."""
    head = text.split("[", 1)[0]
    return (
        "://" in text.split("@", maxsplit=1)[0]
        or head.startswith((".", "/", "~"))
        or head.endswith((".whl", ".tar.gz", ".zip"))
    )


def place_fault(text: str) -> str | None:
    """Return why what stands at a URL or a path is not what is installed, or None when it is."""
    if "://" in text:
        if _is_own_address(text):
            return None if is_own(_own_name()) else "the project itself is not installed"
        found = any(same_url(dist.metadata["Name"], text) for dist in metadata.distributions())
        return None if found else "it is not installed from that URL"
    path = Path(text.split("[", 1)[0]).expanduser()
    if path.suffix == ".whl":
        name: str | None = path.name.split("-", 1)[0]
    else:
        name = _project_name(path)
    return None if name and installed(name) else "it is not installed"


def as_requirement(text: str, place: str) -> str:
    """Return what is to be added to a place; in a file of the project paths start at the project's root."""
    folder = Path.cwd()
    root = next((home for home in (folder, *folder.parents) if (home / place).is_file()), None)
    if root is None or "://" in text or not is_place(text):
        return text
    path, bracket, extras = text.partition("[")
    relative = os.path.relpath(folder / Path(path).expanduser(), root)
    start = "-e " if (root / relative).is_dir() else ""
    return f"{start}{'' if relative == '.' else './'}{relative}{bracket}{extras}"


def is_own(name: str) -> bool:
    """Return whether a distribution is the project under test, installed as it is here, whatever its version."""
    if not name or normal(name) != _own_name():
        return False
    try:
        recorded = json.loads(metadata.distribution(name).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return str(recorded.get("url", "")).startswith("file:")


def same_url(name: str, url: str) -> bool:
    """Return whether a distribution is installed from a URL."""
    try:
        recorded = json.loads(metadata.distribution(name).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return bool(recorded.get("url")) and _plain_url(recorded["url"]) == _plain_url(url)


def installed(name: str) -> str | None:
    """Return the version of a distribution; None when it is not installed."""
    try:
        return str(metadata.version(name))
    except (metadata.PackageNotFoundError, ValueError):
        return None


def _own_name() -> str:
    """Return the name of the distribution that the project under test makes; empty when it makes none."""
    return os.environ.get("ENVSOLVER_PROJECT", "").partition(" ")[0]


def _is_own_address(text: str) -> bool:
    """Return whether an address is that of the repository of the project under test."""
    bare = re.sub(r"^[\w+.-]+://(?:[^/@]*@)?(?:www\.)?", "", _plain_url(text)).lower()
    bare = re.sub(r"/(?:-/)?(?:archive|tarball|zipball)/.*$", "", bare)
    name, *places = os.environ.get("ENVSOLVER_PROJECT", "").split(" ")
    return bool(name) and (bare in places or normal(bare.rpartition("/")[2]) == name)


def _project_name(path: Path) -> str | None:
    for file, pattern in (
        ("pyproject.toml", r"""(?ms)^\[project\][^\[]*?^name\s*=\s*["']([^"']+)"""),
        ("setup.cfg", r"(?m)^name\s*=\s*(\S+)"),
        ("setup.py", r"""\bname\s*=\s*["']([^"']+)"""),
    ):
        try:
            match = re.search(pattern, (path / file).read_text(encoding="utf-8"))
        except OSError:
            continue
        if match:
            return match.group(1)
    return None


def _plain_url(url: str) -> str:
    bare = re.sub(r"^git\+", "", url).split("#", 1)[0]
    bare = re.sub(r"(?<=.)@[^/@]*$", "", bare)
    return re.sub(r"(\.git)?/?$", "", bare)
