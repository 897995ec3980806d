"""A lock file serves all platforms, is told stale without uv, and names no address and no path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fakes import written_group

from envsolver.core.settings import Config
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv
from envsolver.resolver.lockfiles import read_lock, write_lock

pytestmark = pytest.mark.integration


def test_the_real_uv_writes_a_lock_without_addresses_and_paths(tmp_path: Path) -> None:
    config = Config(root=tmp_path)
    group = written_group(tmp_path, "six\nnumpy; sys_platform == 'elsewhere'\n")
    uv = Uv(tmp_path)
    python = find_interpreter(uv, sys.executable)
    assert write_lock(config, group, python, uv=uv)
    text = (tmp_path / "requirements" / "a.txt").read_text(encoding="utf-8")
    assert "# via -r requirements/a.in" in text
    assert "://" not in text
    assert str(tmp_path) not in text
    assert "/tmp" not in text  # noqa: S108 looked for, not used
    assert not write_lock(config, group, python, uv=uv)
    lock = read_lock(config, group, python)
    assert lock is not None
    names = {package.name for package in lock.packages}
    assert {"six", "ipykernel"} <= names
    assert "colorama" not in names
