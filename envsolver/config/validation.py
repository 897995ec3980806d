"""Turn the configuration's raw table into `Config`, strictly, and say in plain words what has a wrong type.

A faulty key is reported and then left out, so that what depends on the other keys can be checked in the same go.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ByteSize, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import ErrorDetails

from envsolver.config.faults import Key, KeyFault, nearest, show
from envsolver.config.tables import TABLES, config_of
from envsolver.config.toml_lines import dotted
from envsolver.core.settings import HIDDEN, Config

_CONSTRAINED: dict[str, Any] = {
    "Count": Annotated[int, Field(ge=0)],
    "PositiveCount": Annotated[int, Field(ge=1)],
    "Seconds": Annotated[float, Field(gt=0)],
    "Days": Annotated[float, Field(gt=0)],
    "Size": ByteSize,
    "Text": Annotated[str, Field(min_length=1)],
}
"""What the names of types in `settings` mean."""
_BYTE_SIZES = frozenset({"memory", "output-limit"})
_TABLE_DEPTH = 2
"""Parts of the key of one group, service or notebook."""
_SIZE = re.compile(r"\s*(?=.*[1-9])\d+(?:\.\d+)?\s*(?:[kmgtpe]i?)?b?\s*", re.IGNORECASE)
_WANTED = {
    "string_type": "must be text, in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, in square brackets",
    "mapping_type": "must be a table",
    "dict_type": "must be a table",
    "list_type": "must be a list, in square brackets",
    "literal_error": "must be one of {expected}",
    "too_short": "must have {min_length} members",
    "too_long": "must have {max_length} members",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "byte_size": 'must be a size such as "4GiB"',
    "byte_size_unit": 'must be a size such as "4GiB"',
    "string_too_short": "must be text that is not empty",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=lambda name: name.replace("_", "-"))


@cache
def validating_model() -> type[BaseModel]:
    """Return pydantic's model of the configuration: the fields of `settings`, with what their types' names mean."""
    known = {**_CONSTRAINED}
    for kind in TABLES.values():
        known[kind.__name__] = _model(kind, known)
    return _model(Config, known)


def _model(kind: type[Any], names: Mapping[str, Any]) -> type[BaseModel]:
    """Return the model of one of the settings' classes; `names` stand for types in its annotations."""
    types = get_type_hints(kind, localns={**names}, include_extras=True)
    described: dict[str, Any] = {}
    for each in fields(kind):
        if each.name in HIDDEN:
            continue
        if each.default_factory is not MISSING:
            described[each.name] = (types[each.name], Field(default_factory=each.default_factory))
        else:
            described[each.name] = (types[each.name], ... if each.default is MISSING else each.default)
    model: type[BaseModel] = create_model(kind.__name__, __base__=_Table, __doc__=kind.__doc__, **described)
    return model


def value_fault(value: object, kind: Any) -> str:
    """Say what is wrong with a value that must be of a type, in the words of somebody who writes TOML, or nothing."""
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        detail = error.errors()[0]
        wanted = _WANTED.get(detail["type"], detail["msg"]).format_map(detail.get("ctx", {}))
        return f"{wanted}, not {show(detail['input'])}"
    return ""


def kinds_of(settings: type[Any]) -> dict[str, object]:
    """Return the types of the fields of a settings' class, with what their names mean, by the keys of the file."""
    types = get_type_hints(settings, localns=_CONSTRAINED, include_extras=True)
    return {each.name.replace("_", "-"): types[each.name] for each in fields(settings)}


def type_faults(table: object, *, in_own_file: bool) -> tuple[Config, list[KeyFault]]:
    """Validate the raw table; return what is usable of it, and every fault of keys and types."""
    if not isinstance(table, dict):
        return Config(), [KeyFault(key=(), text=f"must be a table, not {show(table)}")]
    table = {**table}
    faults = [*_early_faults(table, in_own_file=in_own_file)]
    # Each round removes at least one key, so this ends; usually the second round is clean.
    while True:
        try:
            validated = validating_model().model_validate(table, strict=True, by_alias=True, by_name=False)
            return config_of(validated.model_dump()), faults
        except ValidationError as error:
            found = {_location(table, detail): detail for detail in error.errors()}
            faults.extend(KeyFault(key=key, text=_explain(key, detail)) for key, detail in found.items())
            # Members of a list go from its end, so that those before them keep their places.
            for key, detail in reversed(found.items()):
                _leave_out(table, key, detail)


def _early_faults(table: dict[str, Any], *, in_own_file: bool) -> Iterator[KeyFault]:
    """Find what pydantic would let pass or would describe in a confusing way, and take it out of the table."""
    for name in HIDDEN & table.keys():
        del table[name]
        yield KeyFault(key=(name,), text="is not a key of the configuration")
    if in_own_file and "tool" in table:
        del table["tool"]
        yield KeyFault(key=("tool",), text="in envsolver.toml the keys stand at the top, without [tool.envsolver]")
    if isinstance(table.get("notebooks"), dict):
        del table["notebooks"]
        one = dotted((*(() if in_own_file else ("tool", "envsolver")), "notebook", "<path or glob>"))
        text = f"is a list of globs; settings of one notebook stand under [{one}]"
        yield KeyFault(key=("notebooks",), text=text)
    newer = table.get("exclude-newer")
    if isinstance(newer, dt.date):  # A datetime is a date too.
        table["exclude-newer"] = newer.isoformat()
    yield from _number_faults(table, ())


def _number_faults(table: dict[str, Any], prefix: Key) -> Iterator[KeyFault]:
    """Find sizes that are no sizes, and numbers that are not finite, in a table and in those below it."""
    for name, value in list(table.items()):
        key = (*prefix, name)
        if isinstance(value, dict):
            table[name] = copy = {**value}
            yield from _number_faults(copy, key)
        elif isinstance(value, float) and not math.isfinite(value):
            del table[name]
            yield KeyFault(key=key, text="must be a finite number")
        elif name in _BYTE_SIZES and len(key) != _TABLE_DEPTH and not _is_size(value):
            del table[name]
            yield KeyFault(key=key, text=f'must be a size such as "4GiB", not {show(value)}')


def _is_size(value: object) -> bool:
    """Return whether a value is a size above zero: pydantic also takes true, negative numbers, and trailing text."""
    if isinstance(value, str):
        return _SIZE.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _location(table: Mapping[str, Any], detail: ErrorDetails) -> Key:
    """Return the key that an error is about, without the positions in unions that pydantic adds."""
    key: list[str] = []
    node: Any = table
    for part in detail["loc"]:
        if isinstance(node, dict) and (part in node or detail["type"] in {"missing", "extra_forbidden"}):
            node = node.get(part)
        elif isinstance(node, tuple) and isinstance(part, int):
            node = node[part]
        else:
            break
        key.append(str(part))
    return tuple(key)


def _explain(key: Key, detail: ErrorDetails) -> str:
    """Describe what is wrong in TOML's words."""
    if detail["type"] == "extra_forbidden":
        return f"is not a known key{nearest(key[-1], _known_keys(key))}"
    if detail["type"] == "missing":
        return "is missing"
    if len(key) > 1 and key[-2] == "parameters":
        wanted = "must be text, a number, true or false"
    elif key[:1] == ("groups",) and key[-1] == "lock":
        wanted = 'must be true, false or "uv.lock"'
    else:
        wanted = _WANTED.get(detail["type"], detail["msg"])
    return f"{wanted.format_map(detail.get('ctx', {}))}, not {show(detail['input'])}"


def _known_keys(key: Key) -> list[str]:
    """Return the keys that could have stood where an unknown one stands."""
    kind = TABLES.get(key[0], Config) if len(key) > 1 else Config
    return [each.name.replace("_", "-") for each in fields(kind) if each.name not in HIDDEN]


def _leave_out(table: dict[str, Any], key: Key, detail: ErrorDetails) -> None:
    """Take a faulty value out, but keep the names of groups and services, since other keys refer to them."""
    node: Any = table
    for depth, part in enumerate(key[:-1]):
        below = node[part]
        if isinstance(below, tuple):
            index = int(key[depth + 1])
            node[part] = below[:index] + below[index + 1 :]
            return
        node = below
    if detail["type"] == "missing" or (key[:1] == ("services",) and len(key) == _TABLE_DEPTH):
        node[key[-1]] = "{port}" if detail["type"] == "missing" else {"command": "{port}"}
    elif key[:1] == ("groups",) and len(key) == _TABLE_DEPTH:
        node[key[-1]] = {}
    else:
        node.pop(key[-1], None)
