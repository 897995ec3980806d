"""Read and validate a project's configuration; report all faults at once, each with its place."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envsolver.config.checks import semantic_faults
from envsolver.config.faults import Key, KeyFault
from envsolver.config.tables import as_python
from envsolver.config.toml_lines import dotted, key_lines, line_of
from envsolver.core.errors import ConfigurationError
from envsolver.core.globs import glob_matches
from envsolver.core.parsing import (
    ODD_INPUT,
    MalformedError,
    parse_specifiers,
    parse_toml,
    phrase_of,
    read_text,
    table_of,
)
from envsolver.core.settings import Config, GroupSettings, NotebookSettings, StrategySettings, merged

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

OWN_FILE = "envsolver.toml"
PYPROJECT = "pyproject.toml"

_TABLE = re.compile(r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*envsolver[ \t]*[.\]]", re.MULTILINE)
_PLURAL = re.compile(r"^[ \t]*\[(?:[ \t]*tool[ \t]*\.[ \t]*envsolver[ \t]*\.)?[ \t]*notebooks[ \t]*\.", re.MULTILINE)
_SETUP_PYTHON = re.compile(r"^python_requires[ \t]*=[ \t]*(.+)$", re.MULTILINE)
_INCLUDED = re.compile(r"^[ \t]*(?:-r|-c|--requirement|--constraint)[ \t=]*([^\s#]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The file that holds the configuration: its name, its text, the place of our table in it, and that table."""

    name: str
    text: str
    prefix: Key
    table: object


def find_root(start: Path) -> Path:
    """Find the project's root for a directory, or for a file in it.

    It is the nearest ancestor with an ``envsolver.toml`` or with ``[tool.envsolver]`` in its
    ``pyproject.toml``; else the nearest with a ``pyproject.toml`` or a ``.git``; else `start` itself.
    The answer is absolute, with symbolic links resolved.
    """
    start = start.resolve()
    if start.is_file():
        start = start.parent
    ancestors = (start, *start.parents)
    for directory in ancestors:
        if (directory / OWN_FILE).is_file() or _mentions_us(directory / PYPROJECT):
            return directory
    for directory in ancestors:
        if (directory / PYPROJECT).is_file() or (directory / ".git").exists():
            return directory
    return start


def load_config(root: Path, strategy: str | None = None) -> Config:
    """Read the configuration of the project at `root`; a project without any gets the defaults.

    Every ``requirements/*.in`` that is not named becomes a group too, and every group's `requirements` names its file.
    An empty `python` is filled with the running minor version, or with what the project's own ``requires-python``
    says where it excludes that.

    Parameters
    ----------
    root
        The project's root directory.
    strategy
        The strategy to apply; None for the one that the configuration names, if it does.

    Raises
    ------
    ConfigurationError
        With every fault, each with the file, the line and the key.
    """
    root = root.resolve()
    source = read_source(root) or Source(name="", text="", prefix=(), table={})
    try:
        given, faults = _typed(source)
        config = _completed(given, root, source.name)
        faults = [*faults, *semantic_faults(replace(config, python=given.python))]
    except ODD_INPUT as error:
        raise ConfigurationError([f"{source.name or root}: cannot be understood: {phrase_of(error)}"]) from error
    if faults:
        raise ConfigurationError(
            _with_places(faults, source), tip="`envsolver schema` prints every key, its type and its default."
        )
    return _with_strategy(config, config.strategy if strategy is None else strategy, source)


def _with_strategy(config: Config, name: str, source: Source) -> Config:
    """Choose a strategy, and put what it sets about groups over the groups' own keys."""
    if name and name not in config.strategies:
        known = ", ".join(config.strategies) or "none is configured"
        raise ConfigurationError([f'no strategy is called "{name}"'], tip=f"Strategies: {known}.")
    groups = {**config.groups}
    tables = table_of(source.table, "strategies", name, "groups")
    for group, table in tables.items():
        new = config.strategies[name].groups[group]
        given = {key.replace("-", "_"): getattr(new, key.replace("-", "_")) for key in table}
        if "env" in given:
            given["env"] = {**groups[group].env, **new.env}
        groups[group] = replace(groups[group], **given)
    return replace(config, strategy=name, groups=groups)


def settings_for(config: Config, notebook: str) -> NotebookSettings:
    """Return what the configuration says about one notebook.

    All entries whose path or glob matches are merged in the order they are written, the exact path last; a later
    entry wins key by key, and tables such as `env` are merged. What the strategy says comes after them.
    """
    strategy = config.strategies.get(config.strategy, StrategySettings())
    return merged([*_entries(config.notebook, notebook), strategy, *_entries(strategy.notebook, notebook)])


def _entries(tables: Mapping[str, NotebookSettings], notebook: str) -> list[NotebookSettings]:
    matching = [(glob, entry) for glob, entry in tables.items() if glob_matches(notebook, glob)]
    return [entry for _, entry in sorted(matching, key=lambda item: item[0] == notebook)]


def _mentions_us(pyproject: Path) -> bool:
    """Return whether a pyproject.toml has our table, even when it is not valid TOML."""
    try:
        text = read_text(pyproject)
    except (OSError, MalformedError):
        return False
    if "envsolver" not in text:
        return False
    try:
        return "envsolver" in table_of(parse_toml(text), "tool")
    except MalformedError:
        return _TABLE.search(text) is not None


def read_source(root: Path) -> Source | None:
    """Read the file that holds the configuration of a project, whichever it is; None when there is none.

    Raises
    ------
    ConfigurationError
        It cannot be read, is no TOML, or there are two.
    """
    own, pyproject = root / OWN_FILE, root / PYPROJECT
    if own.is_file():
        if _mentions_us(pyproject):
            fault = f"{OWN_FILE}: {PYPROJECT} has a [tool.envsolver] table too, so it is not clear which one counts"
            raise ConfigurationError([fault], tip="Keep one of the two.")
        return parse_source(own, OWN_FILE)
    if not pyproject.is_file():
        return None
    text = _read_text(pyproject)
    tool = table_of(_parse(PYPROJECT, text), "tool")
    if "envsolver" not in tool:
        return None
    return Source(name=PYPROJECT, text=text, prefix=("tool", "envsolver"), table=tool["envsolver"])


def parse_source(path: Path, name: str) -> Source:
    """Read a file of our own, whose keys stand at the top; `name` is what faults call it.

    Raises
    ------
    ConfigurationError
        It cannot be read, or is no TOML.
    """
    text = _read_text(path)
    return Source(name=name, text=text, prefix=(), table=_parse(name, text))


def _read_text(path: Path) -> str:
    """Read a TOML file, which is UTF-8 by its standard; a byte order mark is let pass."""
    try:
        return read_text(path)
    except FileNotFoundError as error:
        raise ConfigurationError([f"{path.name}: cannot be read: {error.strerror}"]) from error
    except MalformedError as error:
        tip = "Save the file as UTF-8." if error.line else ""
        raise ConfigurationError([f"{_at(path.name, error)}: {error.phrase}"], tip=tip) from error


def _parse(name: str, text: str) -> dict[str, Any]:
    """Parse TOML; an error carries its line and column."""
    try:
        return parse_toml(text)
    except MalformedError as error:
        plural = _PLURAL.search(text)
        one = dotted((*(("tool", "envsolver") if name == PYPROJECT else ()), "notebook", "<path or glob>"))
        tip = f"Settings of one notebook stand under [{one}], without an s."
        fault = f"{_at(name, error)}: is not valid TOML: {error.phrase}"
        raise ConfigurationError([fault], tip=tip if plural else "") from error


def _at(name: str, error: MalformedError) -> str:
    """Return a file's name with the line and column of what is wrong in it, as far as they are known."""
    return ":".join([name, *(str(number) for number in (error.line, error.column) if number)])


def _typed(source: Source) -> tuple[Config, list[KeyFault]]:
    """Return what is usable of a file's table, and the faults of its keys and types."""
    table, own = as_python(source.table), not source.prefix
    if table == {}:
        return Config(), []
    from envsolver.config.validation import type_faults

    return type_faults(table, in_own_file=own)


def _completed(config: Config, root: Path, source: str) -> Config:
    """Fill in what a configuration may leave open: groups by file, their files, and the Python version."""
    groups: dict[str, GroupSettings] = {
        name: group
        if group.requirements or _is_declared(group)
        else replace(group, requirements=f"requirements/{name}.in")
        for name, group in config.groups.items()
    }
    named = {group.requirements for group in groups.values()}
    for file in _group_files(root):
        relative = file.relative_to(root).as_posix()
        if file.stem not in groups and relative not in named:
            groups[file.stem] = GroupSettings(requirements=relative)
    python = config.python or (_default_python(root),)
    return replace(config, groups=groups, python=python, root=root, source=source)


def _is_declared(group: GroupSettings) -> bool:
    """Return whether a group says what it holds without a file of its own."""
    return bool(group.dependency_groups or group.extras or group.prefix or group.lock == "uv.lock")


def _default_python(root: Path) -> str:
    """Return the running minor version, or, where the project does not support it, what the project asks for."""
    supported = _requires_python(root)
    running = ".".join(map(str, sys.version_info[:3]))
    if supported is None or supported.contains(running, prereleases=True):
        return ".".join(map(str, sys.version_info[:2]))
    return str(supported)


def _requires_python(root: Path) -> SpecifierSet | None:
    """Return the versions of Python that the project's own metadata name; None where none can be read."""
    named: object = None
    with contextlib.suppress(OSError, MalformedError):
        named = table_of(parse_toml(read_text(root / PYPROJECT)), "project").get("requires-python")
    with contextlib.suppress(OSError, MalformedError):
        if named is None and (found := _SETUP_PYTHON.search(read_text(root / "setup.cfg"))):
            named = found[1]
    with contextlib.suppress(MalformedError):
        return parse_specifiers(named.strip()) if isinstance(named, str) and named.strip() else None
    return None


def _group_files(root: Path) -> list[Path]:
    """Return the ``requirements/*.in`` that are groups: no name with `_` first, not included by another."""
    files = sorted((root / "requirements").glob("*.in"))
    included: set[Path] = set()
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # The reader of requirements names the fault, with its place.
        included.update((file.parent / target).resolve() for target in _INCLUDED.findall(text))
    return [file for file in files if file.resolve() not in included and file.stem[0] not in "_."]


def fault_in(config: Config, key: Key, text: str) -> str:
    """Return what is wrong with a key of a configuration that was read, with its file and line.

    Where the strategy sets that key, that is its place.
    """
    source = read_source(config.root) or Source(name="", text="", prefix=(), table={})
    if key_lines(source.text).keys() & {(*source.prefix, "strategies", config.strategy, *key)}:
        key = ("strategies", config.strategy, *key)
    (placed,) = _with_places([KeyFault(key=key, text=text)], source)
    return placed


def _with_places(faults: list[KeyFault], source: Source) -> list[str]:
    """Write each fault with its file, line and key, in the order of the file."""
    lines = key_lines(source.text)
    placed: list[tuple[int, str]] = []
    for fault in faults:
        key = (*source.prefix, *fault.key)
        line = line_of(lines, key)
        file = source.name or PYPROJECT
        place = [file if line is None else f"{file}:{line}", *([dotted(key)] if key else [])]
        placed.append((line or 0, ": ".join([*place, fault.text])))
    return [text for _, text in sorted(dict.fromkeys(placed), key=lambda item: item[0])]
