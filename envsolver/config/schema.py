"""The configuration's keys as a JSON schema, and as the rows of the reference table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from envsolver.config.tables import TABLES
from envsolver.core import settings
from envsolver.core.field_texts import field_texts

_TYPE_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}

DRAFT = "http://json-schema.org/draft-07/schema#"
"""What the schema is written in: validate-pyproject and many editors read no later draft."""

SCHEMA_ID = "https://envsolver.invalid/configuration.schema.json"
"""A name and no place, while no site has it; references inside are resolved against it, which no URN serves."""


class ReferenceRow(NamedTuple):
    """One key of the configuration, for the reference table; texts are Markdown."""

    key: str
    type: str
    default: str
    description: str


def json_schema() -> dict[str, object]:
    """Return the JSON schema of the configuration's table, for editors and for other tools."""
    from envsolver.config.validation import validating_model

    schema: dict[str, Any] = validating_model().model_json_schema(by_alias=True)
    _describe(schema)
    schema["$schema"] = DRAFT
    schema["$id"] = SCHEMA_ID
    schema["title"] = "envsolver"
    return schema


def pyproject_schema(_: str) -> dict[str, object]:
    """Return the schema of `[tool.envsolver]` to validate-pyproject, which asks by the name of the table."""
    return json_schema()


def _describe(schema: dict[str, Any]) -> None:
    """Put the settings' docstrings into their schema.

    Pydantic would do it as well, by reading its own source at each start; only here is there a use for it.
    """
    texts = field_texts(settings)
    kinds: tuple[type[Any], ...] = (settings.Config, *TABLES.values())
    for kind in kinds:
        table = schema if kind is settings.Config else schema["$defs"][kind.__name__]
        for base in kind.__mro__:
            for field, text in texts.get(base.__name__, {}).items():
                if described := table["properties"].get(field.replace("_", "-")):
                    described["description"] = text


def reference_rows() -> tuple[ReferenceRow, ...]:
    """List every key with its type, default and description, in the order of the settings' classes."""
    schema = json_schema()
    return tuple(_rows(schema, schema, ""))


def _rows(schema: Mapping[str, Any], node: Mapping[str, Any], prefix: str) -> Iterator[ReferenceRow]:
    """List the keys of one object of the schema, nested tables after their own row."""
    for name, field in node["properties"].items():
        key = prefix + name
        default = field.get("default")
        shown = (
            "required" if name in node.get("required", ()) else "" if default in (None, "", [], {}) else _toml(default)
        )
        yield ReferenceRow(key, _type_name(field), shown, " ".join(field.get("description", "").split()))
        reference = field.get("additionalProperties", {}).get("$ref") if field.get("type") == "object" else None
        if reference and not prefix:  # a strategy's own tables hold what stands in the others
            placeholder = '"<path or glob>"' if name == "notebook" else "<name>"
            yield from _rows(schema, schema["$defs"][reference.rsplit("/", 1)[-1]], f"{key}.{placeholder}.")


def _type_name(field: Mapping[str, Any]) -> str:
    """Name a field's type in the words that people write TOML with."""
    if "anyOf" in field:
        names = [_type_name(option) for option in field["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(names))
    kind = field.get("type")
    if kind == "array":
        return f"list of {_type_name(field['items'])}s"
    if kind == "object":
        inner = field.get("additionalProperties", {})
        if inner is True:
            return "table"
        return "tables by name" if "$ref" in inner else f"table of {_type_name(inner)}s"
    return _TYPE_NAMES.get(str(kind), "value")


def _toml(value: object) -> str:
    """Write a default as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
