"""A configuration as plain values, from its file and into a cache of what has been validated.

Validating takes an import of pydantic, which is most of what a short command takes, so a table that was found
faultless is remembered with its values. Anything that could change the outcome is in the name it is kept under: the
table, and the source of the types and of their validation.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envsolver.core.digests import digest, file_digest
from envsolver.core.files import read_json, write_json
from envsolver.core.settings import HIDDEN, Config, GroupSettings, NotebookSettings, ServiceSettings

TABLES: dict[str, type[Any]] = {"groups": GroupSettings, "services": ServiceSettings, "notebook": NotebookSettings}
"""The keys whose value is a table of tables, and the settings that one of those holds."""

_SOURCES = (Path(sys.modules[Config.__module__].__file__ or ""), Path(__file__).with_name("validation.py"))


def as_python(value: object) -> object:
    """Return TOML or JSON data as the settings have it: lists become tuples."""
    if isinstance(value, dict):
        return {key: as_python(item) for key, item in value.items()}
    return tuple(as_python(item) for item in value) if isinstance(value, list) else value


def config_of(values: Mapping[str, Any]) -> Config:
    """Build a configuration from its fields' values, in which settings are tables of their fields' values."""
    built: dict[str, Any] = {
        name: {key: TABLES[name](**fields) for key, fields in value.items()} if name in TABLES else value
        for name, value in values.items()
    }
    return Config(**built)


def memory(table: object, directory: Path | None, *, in_own_file: bool) -> Path | None:
    """Return the file that remembers what a table means, or None where nothing is to be remembered."""
    if directory is None:
        return None
    with contextlib.suppress(OSError):
        key = digest([*map(file_digest, _SOURCES), repr((table, in_own_file))])
        return directory / "configurations" / f"{key[:32]}.json"
    return None


def recall(file: Path | None) -> Config | None:
    """Return the configuration that a file remembers, if it does."""
    if file is None or not (values := read_json(file)):
        return None
    try:
        return config_of({name: as_python(value) for name, value in values.items()})
    except (TypeError, AttributeError):  # not our file any more
        return None


def remember(file: Path | None, config: Config) -> None:
    """Remember a configuration in which no type is wrong."""
    if file is None:
        return
    values = {name: value for name, value in asdict(config).items() if name not in HIDDEN}
    with contextlib.suppress(OSError):
        write_json(file, values)
