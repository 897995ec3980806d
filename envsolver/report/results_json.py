"""`results.json`: a run as plain data, and back.

The file is a public interface. Its schema changes only by new keys; anything else gets a new number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from envsolver.core import environments, results
from envsolver.core.errors import ConfigurationError
from envsolver.core.field_texts import field_texts
from envsolver.core.files import write_atomically
from envsolver.core.parsing import MalformedError, parse_json, read_text
from envsolver.core.paths import RESULTS
from envsolver.core.redaction import redact
from envsolver.core.results import Result, Run, RunWarning
from envsolver.report.run_warnings import warnings_of

SCHEMA = 1
"""Number of the schema that is written, and the only one that is read."""

SCHEMA_ID = "https://envsolver.invalid/results.schema.json"
"""A name and no place, as that of the configuration's schema."""

HISTORY_ONLY = ("modules", "reading")
"""What a result tells the history alone: it is long, and says nothing to a person."""


def run_to_data(run: Run) -> dict[str, Any]:
    """Return a run as data that JSON can hold.

    The keys that the documentation promises come first; times are ISO 8601 with a zone, durations seconds,
    sizes bytes. The run's folder is left out: it is where the file lies.
    """
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "started": run.started,
        "wall_seconds": run.wall_seconds,
        "workers": run.workers,
        "results": [_result_to_data(result) for result in run.results],
        "environments": [asdict(environment) for environment in run.environments],
        "not_run": run.not_run,
        "stopped": run.stopped,
        "state": run.state,
        "conflicts": run.conflicts,
        "blocks": [asdict(block) for block in run.blocks],
        "shard": asdict(run.shard) if run.shard else None,
        "warnings": [asdict(each) for each in warnings_of(run)],
    }
    plain: dict[str, Any] = _plain(data)
    return plain


def run_from_data(data: object, directory: Path) -> Run:
    """Return the run that `run_to_data` made the data from.

    Parameters
    ----------
    data
        What the JSON file held. Keys that are not known are ignored; those that the documentation does not
        promise may be missing.
    directory
        The run's folder.

    Raises
    ------
    ConfigurationError
        The data has another schema or a wrong shape. Lists every fault with its place.
    """
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(data, Mapping) or "schema" not in data:
        raise ConfigurationError([f"{directory / RESULTS}: not the results of a run: it has no `schema`"])
    if data["schema"] != SCHEMA:
        raise ConfigurationError(
            [f"{directory / RESULTS}: has schema {data['schema']!r}; this envsolver reads schema {SCHEMA}"],
            tip="Use the version of envsolver that wrote it, or run the notebooks again.",
        )
    try:
        return TypeAdapter(Run).validate_python({**data, "directory": directory})
    except ValidationError as error:
        faults = [f"{directory / RESULTS}: {_place(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError(faults, tip="The file was changed or is damaged; run the notebooks again.") from None


def results_schema() -> dict[str, Any]:
    """Return the JSON schema of `results.json`, for other programs and for the documentation."""
    from pydantic import TypeAdapter

    texts = field_texts(environments, results)
    texts.setdefault("Run", {})["warnings"] = "What the notebooks were warned of, over all of them."
    schema: dict[str, Any] = TypeAdapter(Run).json_schema(mode="serialization")
    definitions: dict[str, Any] = schema["$defs"]
    definitions["RunWarning"] = TypeAdapter(RunWarning).json_schema(mode="serialization")
    schema["properties"]["warnings"] = {"type": "array", "items": {"$ref": "#/$defs/RunWarning"}}
    del schema["properties"]["directory"], definitions["Reading"], definitions["Look"]
    for key in HISTORY_ONLY:
        del definitions["Result"]["properties"][key]
    for name, table in {"Run": schema, **definitions}.items():
        for key, text in texts.get(name, {}).items():
            if key in table["properties"]:
                table["properties"][key]["description"] = text
    schema["properties"] = {"schema": {"const": SCHEMA, "description": "Number of the schema."}, **schema["properties"]}
    schema["required"] = ["schema", *(key for key in schema["required"] if key != "directory")]
    names = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return {**names, **schema, "title": RESULTS}


def write_results(run: Run) -> Path:
    """Write the run's `results.json`, so that it is there whole or not at all, and return its path."""
    path = run.directory / RESULTS
    write_atomically(path, json.dumps(run_to_data(run), indent=2) + "\n")
    return path


def read_results(directory: Path) -> Run:
    """Return the run whose folder is `directory`.

    Raises
    ------
    ConfigurationError
        There is no `results.json`, or it cannot be read.
    """
    path = directory / RESULTS
    try:
        data = parse_json(read_text(path))
    except FileNotFoundError:
        raise ConfigurationError([f"{path}: there is no such file"], tip="Name a run that came to write one.") from None
    except MalformedError as error:
        raise ConfigurationError([f"{path}: {error}"], tip="The file is damaged; run the notebooks again.") from None
    return run_from_data(data, directory)


def _result_to_data(result: Result) -> dict[str, Any]:
    promised = (
        "notebook", "group", "python", "environment", "status", "started", "seconds",
        "peak_rss_bytes", "worker", "reason", "failure",
    )  # fmt: skip
    data = asdict(result)
    for key in HISTORY_ONLY:
        del data[key]
    return {key: data.pop(key) for key in promised} | data


def _plain(value: Any) -> Any:
    """Turn tuples into lists and paths into text, as JSON reads them back, and take out credentials."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return redact(str(value)) if isinstance(value, (str, Path)) else value


def _place(location: tuple[int | str, ...]) -> str:
    """Return a fault's place as ``results[3].failure.cell``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")
