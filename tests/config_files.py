"""Projects with a configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from envsolver.config.load import load_config
from envsolver.core.errors import ConfigurationError

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def project(root: Path, text: str = "", **files: str) -> Path:
    """Write a project with a pyproject.toml and requirements files."""
    (root / "requirements").mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (root / "requirements" / f"{name}.in").write_text(content, encoding="utf-8")
    return root


def faults(root: Path) -> tuple[str, ...]:
    """Return the faults of a project's configuration."""
    with pytest.raises(ConfigurationError) as caught:
        load_config(root)
    assert caught.value.exit_code == 2
    return caught.value.faults
