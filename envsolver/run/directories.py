"""The project's own directory, and the folders of its runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from envsolver.core.errors import ConfigurationError
from envsolver.core.paths import LATEST, RUNS


def prepare_state(directory: Path) -> Path:
    """Make the project's own directory, and have git ignore it.

    Raises
    ------
    ConfigurationError
        It cannot be made or written to.
    """
    with _usable(directory):
        directory.mkdir(parents=True, exist_ok=True)
        ignore = directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    return directory


@contextlib.contextmanager
def _usable(directory: Path) -> Iterator[None]:
    """Turn the system's errors into one that says what to do.

    Raises
    ------
    ConfigurationError
        The system refused what was tried.
    """
    try:
        yield
    except OSError as error:
        if directory.exists() and not directory.is_dir():
            fault = f"{directory}: is a file, and envsolver keeps its history and its runs in a folder of that name"
            raise ConfigurationError([fault], tip="Move or delete the file.") from error
        fault = f"{directory}: cannot be written: {error.strerror or error}"
        tip = "envsolver keeps its history and its runs there; let it be written, and have room on its disk."
        raise ConfigurationError([fault], tip=tip) from error


def output_files(root: Path) -> tuple[str, ...]:
    """Return the files of a project that this process's output goes to, as far as known, relative to its root."""
    found: set[str] = set()
    for descriptor in (1, 2):
        with contextlib.suppress(OSError, ValueError):  # of another system, or outside of the project
            found.add(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(root).as_posix())
    return tuple(sorted(found))


def new_run_directory(runs: Path) -> Path:
    """Make a folder named after the time, unique even when two runs start in the same second, and `latest`.

    Raises
    ------
    ConfigurationError
        It cannot be made.
    """
    with _usable(runs):
        return _make_run_directory(runs)


def named_run_directory(directory: Path) -> Path:
    """Make the folder that a person named for a run, which must be new or empty.

    Raises
    ------
    ConfigurationError
        It holds something, or cannot be made.
    """
    with _usable(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            fault = f"{directory}: is not empty, and each run needs a folder of its own"
            raise ConfigurationError([fault], tip="Name another folder, or move away what is in it.")
    return directory


def _make_run_directory(runs: Path) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    stem = datetime.now(timezone.utc).astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    number = 1
    while True:
        directory = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            directory.mkdir()
            break
        except FileExistsError:
            number += 1
    link = runs / f".latest-{directory.name}"
    with contextlib.suppress(OSError):  # a file system without links has no `latest`
        link.symlink_to(directory.name)
        link.replace(runs / LATEST)
    return directory


def newest_run(state: Path) -> Path | None:
    """Return the newest run's folder, or None when there was no run."""
    with contextlib.suppress(OSError):
        return (state / RUNS / LATEST).resolve(strict=True)
    return None
