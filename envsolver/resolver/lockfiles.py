"""Lock files beside the groups' files: one for all platforms, whose staleness shows without uv."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from envsolver.core.digests import digest
from envsolver.core.environments import Group, Interpreter, Lock
from envsolver.core.errors import BuildError, ConfigurationError
from envsolver.core.files import write_atomically
from envsolver.core.parsing import ODD_INPUT, MalformedError, phrase_of, read_text
from envsolver.core.settings import Config, GroupSettings
from envsolver.environments.uv import Uv
from envsolver.environments.uv_output import network_error
from envsolver.environments.uv_settings import read_settings
from envsolver.resolver.locks import KERNEL, kernel_line, lock_of, not_built, read_packages, unbuilt, unsolvable
from envsolver.resolver.project_metadata import needs_no_build, stated_metadata
from envsolver.resolver.requirement_text import local_path, parse
from envsolver.resolver.solve_options import early_releases
from envsolver.resolver.specifiers import holds, marker_environment

State = Literal["fresh", "stale", "missing"]

_INPUTS = re.compile(r"^# inputs: ([0-9a-f]{64})$", re.MULTILINE)
_REFRESH = "Refresh it with `envsolver lock --group {name}`."
_HEADER = """\
# Written by `envsolver lock` for group {name}; refresh it with the same command.
# inputs: {inputs}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockFile:
    """A group's lock file."""

    group: str
    path: str
    """Relative to the project's root."""
    state: State
    """Whether its inputs are what they were when it was written."""


def not_locked(files: Iterable[Path], names: Iterable[str]) -> list[str]:
    """Return those of some packages, which may have bounds, that none of the lock files has."""
    locked = {package.name for file in files for package in read_packages(file.read_text(encoding="utf-8"))}
    return [name for name in names if canonicalize_name(re.split(r"[^\w.-]", name)[0]) not in locked]


def lock_path(group: Group) -> str:
    """Return the lock file of a group: its requirements file's name with ``.txt``."""
    path = PurePosixPath(group.file)
    named = path.with_suffix(".txt")
    return str(named if named != path else path.with_suffix(".lock.txt"))


def may_lock(config: Config, group: Group) -> bool:
    """Return whether a group has a lock file: not when it has no file of its own, or has opted out."""
    return bool(group.file) and config.groups.get(group.name, GroupSettings()).lock is True


def inspect(config: Config, group: Group) -> LockFile:
    """Return whether a group's lock file is there and fresh; reads files and asks nothing."""
    path = lock_path(group)
    text = _read(config, path)
    found = None if text is None else _INPUTS.search(text)
    if text is None:
        return LockFile(group=group.name, path=path, state="missing")
    fresh = found is not None and found[1] == inputs(config, group)
    return LockFile(group=group.name, path=path, state="fresh" if fresh else "stale")


def check(config: Config, groups: Sequence[Group]) -> None:
    """Make sure that every group that may have a lock file has a fresh one.

    Raises
    ------
    ConfigurationError
        One is missing or stale; all are listed.
    """
    files = [inspect(config, group) for group in groups if may_lock(config, group)]
    faults = [_fault(file) for file in files if file.state != "fresh"]
    if faults:
        raise ConfigurationError(faults, tip="Run `envsolver lock`, and commit what it writes.")


def read_lock(config: Config, group: Group, interpreter: Interpreter) -> Lock | None:
    """Return the lock that a group's file holds for an interpreter, or None when there is no file to use.

    Raises
    ------
    ConfigurationError
        The file is stale.
    """
    if not may_lock(config, group):
        return None
    file = inspect(config, group)
    if file.state == "missing":
        return None
    if file.state == "stale":
        raise ConfigurationError([_fault(file)], tip=_REFRESH.format(name=group.name))
    text = _read(config, file.path) or ""
    try:
        return lock_of(group, interpreter, select(text, interpreter), config.root)
    except ODD_INPUT as error:
        fault = f"{file.path}: is no lock that can be read: {phrase_of(error)}"
        raise ConfigurationError([fault], tip=_REFRESH.format(name=group.name)) from error


def write_lock(
    config: Config,
    group: Group,
    interpreter: Interpreter,
    *,
    uv: Uv,
    build: bool = True,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
) -> bool:
    """Solve a group for all platforms and all Pythons of the matrix, and write its lock file.

    Versions that the file already holds stay, unless they must change or are to be upgraded.

    Parameters
    ----------
    build
        Whether a package may be built, and so run, to learn what it depends on.

    Returns
    -------
    bool
        Whether the file has changed.

    Raises
    ------
    UnsolvableError, BuildError
        As `solve_group` does.
    """
    path = config.root / lock_path(group)
    before = _read(config, lock_path(group))
    local = [] if build else [text for text in unbuilt(group, uv) if not _is_static(text, config.root)]
    if local:
        raise BuildError(f"group {group.name}: {not_built(local)}")
    options = [*_upgrades(upgrade, upgrade_packages), *([] if build else ["--no-build"])]
    text = _HEADER.format(name=group.name, inputs=inputs(config, group))
    text += _universal(config, group, interpreter, uv=uv, before=before or "", more=options)
    if text == before:
        return False
    write_atomically(path, text)
    return True


def inputs(config: Config, group: Group) -> str:
    """Return the SHA-256 of all that a group's lock file is made from, the same on every machine."""
    project = [
        f"{name}={value}" for name, value in read_settings(config.root, {}).items() if name.startswith("project ")
    ]
    return digest([group.digest, lowest_python(config, group), config.exclude_newer or "", KERNEL, *project])


def lowest_python(config: Config, group: Group) -> str:
    """Return the lowest Python of the matrix that a group supports, such as ``3.10``; empty when there is no matrix."""
    allowed = SpecifierSet(group.requires_python or "")
    versions = [v for v in config.python if re.fullmatch(r"\d+\.\d+(\.\d+)?", v)]
    fitting = [v for v in versions if allowed.contains(v, prereleases=True) or allowed.contains(f"{v}.999")] or versions
    return min(fitting, key=lambda v: tuple(map(int, v.split("."))), default="")


def select(text: str, interpreter: Interpreter) -> str:
    """Return those pins of a lock for all platforms that are for an interpreter of this machine, without markers."""
    environment = marker_environment(interpreter)
    lines: list[str] = []
    keep = True
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith((" ", "\t")):
            if keep and not line.lstrip().startswith("#"):
                lines.append(line)
            continue
        pin, keep = _pin(line, environment)
        if keep:
            lines.append(pin)
    return "\n".join(lines) + "\n"


def _pin(line: str, environment: dict[str, str]) -> tuple[str, bool]:
    """Return a pin without its marker, and whether the marker holds."""
    bare = line.rstrip("\\").strip()
    parsed = parse(bare)
    if parsed is None or parsed.marker is None:
        return line, True
    pin = re.split(r"\s+;|;\s", bare, maxsplit=1)[0].strip()
    return (f"{pin} \\" if line.endswith("\\") else pin), holds(parsed.marker, environment)


def _universal(
    config: Config, group: Group, interpreter: Interpreter, *, uv: Uv, before: str, more: Sequence[str]
) -> str:
    lowest = lowest_python(config, group) or interpreter.minor
    newer = ["--exclude-newer", config.exclude_newer] if config.exclude_newer else []
    with tempfile.TemporaryDirectory(prefix="envsolver-") as folder:
        # uv keeps the versions that its output file already holds.
        output = Path(folder) / "lock.txt"
        output.write_text(before, encoding="utf-8")
        answer = uv.compile(
            [group.file],
            python=interpreter.executable,
            text=f"{kernel_line(uv, ())}\n",
            options=[
                *("--universal", "--python-version", lowest, "--annotate", "-o", str(output)),
                *(*newer, *early_releases(group), *more),
            ],
        )
        if answer.code == 0:
            return output.read_text(encoding="utf-8")
    if answer.no_network:
        raise network_error(answer)
    if answer.needs_build:
        raise BuildError(f"group {group.name}: {not_built(answer.without_wheels)}\n{answer.explanation}")
    if answer.unsolvable:
        raise unsolvable(group, interpreter, answer.explanation, uv.root)
    raise BuildError(f"group {group.name} could not be locked:\n{answer.explanation}", tip=f"See {group.file}.")


def _is_static(text: str, root: Path) -> bool:
    """Return whether uv itself learns all of a local project without building it, its version too."""
    path = local_path(text)
    said = None if path is None else stated_metadata(root / Path(path).expanduser())
    return said is not None and said.version is not None and all(map(needs_no_build, said.texts))


def _upgrades(everything: bool, packages: Sequence[str]) -> list[str]:
    if everything:
        return ["--upgrade"]
    return [argument for package in packages for argument in ("--upgrade-package", package)]


def _fault(file: LockFile) -> str:
    if file.state == "missing":
        return f"group {file.group} has no lock file {file.path}"
    return f"{file.path} is stale: what group {file.group} is locked from has changed since"


def _read(config: Config, path: str) -> str | None:
    try:
        return read_text(config.root / path)
    except FileNotFoundError:
        return None
    except MalformedError as error:
        raise ConfigurationError([f"{path}: {error}"], tip="Delete it, and write it anew: `envsolver lock`.") from error
