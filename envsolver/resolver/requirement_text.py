"""What one requirement's text says: a name, an address, or a local project."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from envsolver.core.digests import digest
from envsolver.core.folders import METADATA_FILES
from envsolver.core.parsing import MalformedError, parse_requirement, parse_toml, table_of
from envsolver.core.projects import project_name, pyproject

BOUND = "-c "
"""What an item starts with that bounds a package without asking for it, such as ``-c numpy<2``."""

_ARCHIVED = re.compile(r"/(?:-/)?(?:archive|tarball|zipball)/.*$")
_LOWERING = frozenset({"<", "<=", "==", "===", "~="})


def parse(text: str) -> Parsed | None:
    """Return a requirement's text as `packaging` reads it, or None for a path, an address or nonsense."""
    try:
        return parse_requirement(text)
    except MalformedError:
        return None


def is_option(text: str) -> bool:
    """Return whether an item is an option for uv, such as ``--extra-index-url …``."""
    return text.startswith("--") and not text.startswith("--editable")


def lowers(text: str) -> bool:
    """Return whether a requirement bounds a package from above, so that it may get an older version than the newest."""
    parsed = parse(text.removeprefix(BOUND))
    return parsed is not None and any(bound.operator in _LOWERING for bound in parsed.specifier)


def local_path(text: str) -> str | None:
    """Return the path that a requirement such as ``-e .[extra]`` or ``./package`` names, or None."""
    if text.startswith(BOUND) or is_option(text):
        return None
    bare = re.sub(r"^(-e|--editable)(\s+|=)", "", text)
    editable = bare != text
    if " @ " in bare:
        bare = bare.split(" @ ", 1)[1]
    bare = re.split(r"\s+;|\s+#", bare, maxsplit=1)[0].strip()
    if bare.startswith("file:"):
        return unquote(re.sub(r"^file:(//)?", "", bare))
    if "://" in bare or bare.startswith("git+"):
        return None
    bare = re.sub(r"\[[^\[\]]*\]$", "", bare)
    looks_local = bare.startswith((".", "/", "~")) or ("/" in bare and "@" not in bare) or bare.endswith(".whl")
    return bare if editable or looks_local else None


def address_of(text: str) -> str | None:
    """Return the address that a requirement such as ``name @ git+https://…`` names; None where it names none."""
    found = re.search(r"(?:^|@\s*)((?:git\+)?[a-z]+://\S+)", text.removeprefix("-e "))
    return None if found is None or text.startswith(BOUND) or is_option(text) else found[1]


def repository(address: str) -> str:
    """Return what is the same in all addresses of one repository: host and path, in lower case."""
    bare = re.split(r"[#?]", address.strip().removeprefix("git+"), maxsplit=1)[0]
    # As `git@host:owner/name` says the same as `ssh://git@host/owner/name`.
    bare = re.sub(r"^(?:[\w.-]+@)?([\w.-]+):(?!//)", r"ssh://\1/", bare)
    bare = _ARCHIVED.sub("", re.sub(r"^[a-z+]+://(?:[^/@]*@)?(?:www\.)?", "", bare))
    return re.sub(r"(?:@[^@]*)?$", "", bare, count=1).rstrip("/").removesuffix(".git").lower()


def build_backend(directory: Path) -> str:
    """Return the build backend that the Python project in `directory` names; empty when it names none."""
    named = table_of(pyproject(directory), "build-system").get("build-backend")
    return named if isinstance(named, str) else ""


def requirement_name(root: Path, text: str) -> str | None:
    """Return the normalised name of the distribution that a requirement asks for, or None when that is unknown."""
    parsed = parse(text.removeprefix(BOUND))
    if parsed is not None:
        return str(canonicalize_name(parsed.name))
    path = local_path(text)
    if path is not None and not path.endswith(".whl"):
        return project_name(root / path)
    address = address_of(text)
    stem = re.search(r"([A-Za-z0-9][A-Za-z0-9._]*)-\d[^/]*\.(?:whl|tar\.gz|zip)", text)
    egg = re.search(r"#egg=([A-Za-z0-9._-]+)", text)
    named = egg or stem
    if named is None and address is not None:
        # A repository is mostly called as what it distributes.
        return str(canonicalize_name(repository(address).rpartition("/")[2])) or None
    return str(canonicalize_name(named[1])) if named else None


def project_digest(directory: Path) -> str:
    """Return the SHA-256 of what a solve depends on in a local project, or of a wheel or archive.

    What a `pyproject.toml` says to envsolver itself does not count: no build reads it.
    """
    if not directory.is_dir():
        return hashlib.sha256(_bytes(directory)).hexdigest()
    return digest(f"{name}\0{_metadata(directory / name)}" for name in METADATA_FILES)


def _metadata(path: Path) -> str:
    """Return what a metadata file says to whoever builds the project."""
    text = _read(path)
    if path.name != "pyproject.toml":
        return text
    try:
        table = parse_toml(text)
    except MalformedError:
        return text
    others = {name: each for name, each in table_of(table, "tool").items() if name != "envsolver"}
    return json.dumps({**table, "tool": others}, default=str)


def content_digest(directory: Path, *, editable: bool) -> str:
    """Return the SHA-256 of what an installed local project, or a wheel or archive, depends on.

    An editable project shows its sources as they are, so only its metadata count; any other is a copy, so
    every file counts, by size and time, except notebooks.
    """
    if editable or not directory.is_dir():
        return project_digest(directory)
    parts = [project_digest(directory)]
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__pycache__")))
        for file in sorted(file for file in files if not file.endswith(".ipynb")):
            status = (Path(folder) / file).lstat()
            parts.append(f"{folder}/{file}:{status.st_size}:{status.st_mtime_ns}")
    return digest(parts)


def _read(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError):
        return b""  # uv will say what is wrong with it
