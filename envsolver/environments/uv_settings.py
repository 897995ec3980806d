"""The user's uv settings that decide what comes of a solve or a build: `UV_*` variables and uv's own files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Settings about speed, places, credentials and display, which change no answer. All others count,
# so that a setting of a newer uv is never overlooked.
from envsolver.core.parsing import MalformedError, parse_toml, table_of

_INDIFFERENT = (
    "UV_CACHE_DIR",
    "UV_COMPILE_BYTECODE",
    "UV_CONCURRENT_",
    "UV_CREDENTIALS_DIR",
    "UV_ENV_FILE",
    "UV_GIT",
    "UV_HTTP_",
    "UV_INIT_",
    "UV_INSECURE_",
    "UV_INSTALL",
    "UV_INTERNAL_",
    "UV_ISOLATED",
    "UV_KEYRING_PROVIDER",
    "UV_LINK_MODE",
    "UV_LOCK_TIMEOUT",
    "UV_LOG_",
    "UV_MANAGED_PYTHON",
    "UV_NATIVE_TLS",
    "UV_NO_CACHE",
    "UV_NO_MANAGED_PYTHON",
    "UV_NO_PROGRESS",
    "UV_NO_WRAP",
    "UV_OFFLINE",
    "UV_PROJECT",
    "UV_PUBLISH_",
    "UV_PYTHON",
    "UV_REQUEST_TIMEOUT",
    "UV_RUN_",
    "UV_SHOW_",
    "UV_STACK_SIZE",
    "UV_SYSTEM_",
    "UV_TOOL_",
    "UV_UPLOAD_",
    "UV_VENV_",
    "UV_WORKING_DIR",
)
_FILES = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT")
# What changes how a pinned package is built and installed.
_BUILDING = ("binary", "config-setting", "build-isolation", "build-constraint", "build-variable", "no-build")


def read_settings(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that a solve in `root` depends on, by name, as text.

    Parameters
    ----------
    environ
        The environment variables; those that name a file stand for the file's text too.
    """
    found = {
        name: value
        for name, value in environ.items()
        if name.startswith("UV_") and not name.startswith(_INDIFFERENT) and not _is_credential(name)
    }
    for name in _FILES:
        for part in found.get(name, "").split():
            found[f"{name} {part}"] = _text(root / part)
    for place, table in _tables(root, environ):
        found.update({f"{place} {key}": json.dumps(value, sort_keys=True, default=str) for key, value in table.items()})
    return dict(sorted(found.items()))


def building(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of `settings` that change how a pinned package is built."""
    return {
        name: value
        for name, value in settings.items()
        if any(word in name.lower().replace("_", "-") for word in _BUILDING)
    }


def _is_credential(name: str) -> bool:
    return name.endswith(("_USERNAME", "_PASSWORD", "_TOKEN"))


def _tables(root: Path, environ: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Return uv's tables of settings, each with the file's place: the system's, the user's, the project's."""
    if environ.get("UV_CONFIG_FILE"):
        return [("file", _toml(root / environ["UV_CONFIG_FILE"]))]
    if environ.get("UV_NO_CONFIG"):
        return []
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or os.path.expanduser("~")) / ".config")  # noqa: PTH111 must not raise
    project = root / "uv.toml"
    own = _toml(project) if project.is_file() else _pyproject(root / "pyproject.toml")
    return [("system", _toml(Path("/etc/uv/uv.toml"))), ("user", _toml(home / "uv" / "uv.toml")), ("project", own)]


def _pyproject(path: Path) -> dict[str, Any]:
    if "tool.uv" not in _text(path):
        return {}
    return table_of(_toml(path), "tool", "uv")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(_text(path))
    except MalformedError:
        # uv itself will say what is wrong with its file.
        return {"text": _text(path)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
