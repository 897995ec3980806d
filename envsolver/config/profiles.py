"""The tables of profiles as files hold them: the project's, and over them those of the user, whose machine it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_config_dir

from envsolver.config.faults import Key, show
from envsolver.config.load import Source, parse_source, read_source
from envsolver.config.toml_lines import dotted, key_lines, line_of
from envsolver.core.errors import ConfigurationError

USER_FILE = "profiles.toml"
TABLE = "profiles"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileTable:
    """One profile as its file has it.

    Attributes
    ----------
    values
        Its keys and their values.
    folder
        What a path in it is relative to.
    """

    name: str
    values: Mapping[str, object]
    source: Source
    folder: Path

    @property
    def file(self) -> str:
        """The file that it stands in."""
        return self.source.name

    def fault(self, text: str, key: str = "") -> str:
        """Return what is wrong with it, or with one of its keys, with the file and the line."""
        line = self.line(key)
        place = self.file if line is None else f"{self.file}:{line}"
        return f"{place}: {dotted(self._path(key))}: {text}"

    def line(self, key: str) -> int | None:
        """Return the line of one of its keys, or its own."""
        return line_of(key_lines(self.source.text), self._path(key))

    def _path(self, key: str) -> Key:
        return (*self.source.prefix, TABLE, self.name, *([key] if key else []))


def user_file() -> Path:
    """Return the file that holds the user's profiles; it need not exist."""
    return Path(user_config_dir("envsolver"), USER_FILE)


def read_profiles(root: Path) -> dict[str, ProfileTable]:
    """Read all profiles, by name; of two with the same name the user's counts.

    Raises
    ------
    ConfigurationError
        A file cannot be read, or is not of this form.
    """
    found = {} if (project := read_source(root)) is None else _tables(project, root)
    path = user_file()
    if path.is_file():
        found |= _tables(parse_source(path, str(path)), path.parent)
    return found


def _tables(source: Source, folder: Path) -> dict[str, ProfileTable]:
    table = source.table if isinstance(source.table, dict) else {}
    faults = []
    if not source.prefix and source.name.endswith(USER_FILE):
        faults += [f"{source.name}: {name}: only [{TABLE}.NAME] stands here" for name in table if name != TABLE]
    profiles = table.get(TABLE, {})
    if not isinstance(profiles, dict):
        faults.append(f"{source.name}: {TABLE}: must be a table, not {show(profiles)}")
        profiles = {}
    for name, values in profiles.items():
        if not isinstance(values, dict):
            faults.append(f"{source.name}: {TABLE}.{name}: must be a table, not {show(values)}")
    if faults:
        raise ConfigurationError(faults)
    return {
        name: ProfileTable(name=name, values=values, source=source, folder=folder) for name, values in profiles.items()
    }
