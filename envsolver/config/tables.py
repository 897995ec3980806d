"""A configuration as plain values, and what its tables of tables hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envsolver.core.settings import Config, GroupSettings, NotebookSettings, ServiceSettings, StrategySettings

TABLES: dict[str, type[Any]] = {
    "groups": GroupSettings,
    "services": ServiceSettings,
    "notebook": NotebookSettings,
    "strategies": StrategySettings,
}
"""The keys whose value is a table of tables, and the settings that one of those holds."""


def as_python(value: object) -> object:
    """Return TOML or JSON data as the settings have it: lists become tuples."""
    if isinstance(value, dict):
        return {key: as_python(item) for key, item in value.items()}
    return tuple(as_python(item) for item in value) if isinstance(value, list) else value


def config_of(values: Mapping[str, Any]) -> Config:
    """Build a configuration from its fields' values, in which settings are tables of their fields' values."""
    return Config(**_built(values))


def _built(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        # A group's `services` are names.
        name: {key: TABLES[name](**_built(fields)) for key, fields in value.items()}
        if name in TABLES and isinstance(value, Mapping)
        else value
        for name, value in values.items()
    }
