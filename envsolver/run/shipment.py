"""A project that nodes do not see travels to them as one archive, and what its notebooks leave comes home."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from envsolver.core.errors import ConfigurationError
from envsolver.core.paths import PROJECT_ARCHIVE, SENT_HOME, STATE
from envsolver.core.profiles import Placement
from envsolver.core.results import Result
from envsolver.run.git import GitError, ask_git

_ALONE = 'With `project = "shared"` nodes find the project where it is here.'


def sends(placement: Placement) -> bool:
    """Return whether nodes of a run are sent the project."""
    return any(profile.settings.project == "send" for profile in placement.clusters)


def pack(root: Path, folder: Path) -> Path:
    """Write git's files of a project, with their changes and new ones, into an archive, and return its path.

    What git ignores stays behind, and so does its own folder. The archive's name is a digest of what it holds.

    Raises
    ------
    ConfigurationError
        Git cannot tell which files there are, or one of them cannot be read.
    """
    names = sorted({name for name in _files(root) if os.path.lexists(root / name)})
    try:
        archive = folder / f"{_digest(root, names)}{PROJECT_ARCHIVE}"
        # Packed for a network that is shared, but at the lowest level: most of the time goes into reading.
        with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
            for name in names:
                packed.add(root / name, f"{root.name or 'root'}/{name}", recursive=False)
    except OSError as error:
        raise ConfigurationError([f"the project cannot be sent to nodes: {error}"], tip=_ALONE) from error
    return archive


def _files(root: Path, below: str = "") -> Iterator[str]:
    """Yield the files that git knows or would take up, those of submodules too, relative to the root."""
    for name in filter(None, _git(root / below, "ls-files", "-z", "--cached", "--others", "--exclude-standard")):
        path = f"{below}{name}"
        if name.split("/", 1)[0] == STATE:
            continue
        if (root / path).is_dir() and not (root / path).is_symlink():
            yield from _files(root, f"{path.rstrip('/')}/") if (root / path / ".git").exists() else ()
        else:
            yield path


def _git(folder: Path, *arguments: str) -> list[str]:
    try:
        return ask_git(folder, *arguments).split("\0")
    except GitError as error:
        fault = f'`project = "send"` sends the files that git knows, and git says of {folder}: {error}'
        raise ConfigurationError([fault], tip=_ALONE) from error


def _digest(root: Path, names: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for name in names:
        path = root / name
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        head = f"{path.lstat().st_mode:o} {len(content)} ".encode()
        whole.update(head + os.fsencode(name) + b"\0" + content)
    return whole.hexdigest()[:16]


def bring_home(exchange: Path, directory: Path, result: Result) -> None:
    """Move the files that a result names from where nodes write them to the run's folder."""
    for name in filter(None, (result.executed, result.log)):
        _move(exchange / SENT_HOME / name, directory / name)


def bring_rest(exchange: Path, directory: Path) -> None:
    """Move all that nodes have left to the run's folder, and remove what was sent."""
    home = exchange / SENT_HOME
    for path in sorted(home.rglob("*")):
        if not path.is_dir():
            _move(path, directory / path.relative_to(home))
    shutil.rmtree(home, ignore_errors=True)
    for archive in exchange.glob(f"*{PROJECT_ARCHIVE}"):
        archive.unlink()


def _move(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
