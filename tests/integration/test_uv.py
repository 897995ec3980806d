"""uv is found, run and understood; interpreters are seen through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from fakes import until

from envsolver.core.errors import BuildError
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv

pytestmark = pytest.mark.integration


BASE = os.path.realpath(sys.executable)  # what virtualenvs are made from


def test_the_real_uv_finds_this_interpreter_through_a_virtualenv(tmp_path: Path) -> None:
    uv = Uv(tmp_path)
    assert uv.version()[0].isdigit()
    uv.create(tmp_path / "env", BASE)
    found = find_interpreter(uv, str(tmp_path / "env" / "bin" / "python"))
    assert os.path.realpath(found.executable) == BASE


def test_a_sync_out_of_reach_of_the_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    uv = Uv(tmp_path)
    uv.create(tmp_path / "env", BASE)
    (tmp_path / "lock.txt").write_text("six==1.17.0\n", encoding="utf-8")
    with pytest.raises(BuildError, match="the network is out of reach"):
        uv.sync(tmp_path / "env", tmp_path / "lock.txt", require_hashes=False)
    assert subprocess.run([tmp_path / "env" / "bin" / "python", "-c", "import six"], check=False).returncode != 0


def test_a_build_without_an_end_is_ended_at_its_limit(tmp_path: Path) -> None:
    source = tmp_path / "endless"
    source.mkdir()
    # It needs nothing to be fetched, so that it begins at once.
    system = '[build-system]\nrequires = []\nbuild-backend = "endless"\nbackend-path = ["."]\n'
    (source / "pyproject.toml").write_text(f'[project]\nname = "endless"\nversion = "1"\n{system}')
    said = (
        f"import os, pathlib, time; pathlib.Path({str(source / 'pid')!r}).write_text(str(os.getpid())); time.sleep(600)"
    )
    (source / "endless.py").write_text(said)
    uv = Uv(tmp_path, limit=8.0)
    uv.create(tmp_path / "env", BASE)
    (tmp_path / "lock.txt").write_text(f"endless @ {source.as_uri()}\n", encoding="utf-8")
    with pytest.raises(
        BuildError, match=r"uv pip sync: nothing came of it within 8\.0 s; `build-timeout` may allow it more"
    ):
        uv.sync(tmp_path / "env", tmp_path / "lock.txt", require_hashes=False)
    until(lambda: not psutil.pid_exists(int((source / "pid").read_text())))
