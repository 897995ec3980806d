"""Environments are built once, never half, and removed only when nobody uses them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envsolver.core.errors import BuildError
from envsolver.core.settings import Config
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.store import Store
from envsolver.environments.uv import Uv
from envsolver.resolver.groups import read_group
from envsolver.resolver.locks import make_lock, solve_group

pytestmark = pytest.mark.integration


SIX = "six==1.17.0 \\\n    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\n"


REAL = """
import json, sys
from pathlib import Path
from envsolver.resolver.locks import make_lock, solve_group
from envsolver.core.environments import Interpreter
from envsolver.resolver.groups import read_group
from envsolver.core.settings import Config
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv
from envsolver.environments.store import Store
root, text = Path(sys.argv[1]), sys.argv[2]
uv = Uv(root)
store = Store(root / "cache", uv)
environment = store.ensure(make_lock("a", find_interpreter(uv, sys.executable), text))
print(json.dumps({"built": environment.built, "prefix": str(environment.prefix)}))
"""


def test_two_processes_at_once_build_an_environment_once_and_it_works(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REAL, str(tmp_path), SIX]
    path = str(Path(__file__).parents[3])
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}) for _ in range(2)
    ]
    made = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert sorted(environment["built"] for environment in made) == [False, True]
    python = Path(made[0]["prefix"]) / "bin" / "python"
    subprocess.run([python, "-c", "import six"], check=True)
    assert list(Path(made[0]["prefix"]).rglob("six.cpython-*.pyc"))


def test_a_build_whose_run_was_killed_is_done_again_and_works(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    killed = subprocess.Popen([sys.executable, "-c", REAL, str(tmp_path), SIX], env=environment)
    while killed.poll() is None and not list(tmp_path.glob("cache/environments/*/env")):
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    uv = Uv(tmp_path)
    store = Store(tmp_path / "cache", uv)
    made = store.ensure(make_lock("a", find_interpreter(uv, sys.executable), SIX))
    store.release()
    subprocess.run([str(made.prefix / "bin" / "python"), "-c", "import six"], check=True)
    assert [entry.complete for entry in store.entries()] == [True]


@pytest.mark.parametrize("line", ["-e .", "."])
def test_an_environment_with_the_local_project_shows_its_sources(tmp_path: Path, line: str) -> None:
    root = tmp_path / "my project"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "a.in").write_text(f"{line}\n", encoding="utf-8")
    (root / "setup.py").write_text("from setuptools import setup\nsetup(name='mine', py_modules=['mine'])\n", "utf-8")
    uv = Uv(root)
    store = Store(tmp_path / "cache", uv)
    config = Config(root=root)
    python = find_interpreter(uv, sys.executable)
    for value in ("1", "2"):
        (root / "mine.py").write_text(f"value = {value}  # {value * int(value)}\n", encoding="utf-8")
        lock = solve_group(read_group(config, "a"), python, uv=uv, cache=tmp_path / "cache")
        environment = store.ensure(lock)
    store.release()
    command = [str(environment.prefix / "bin" / "python"), "-c", "import mine; print(mine.value)"]
    assert subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.strip() == "2"


def test_with_everything_cached_no_network_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = Uv(tmp_path)
    lock = make_lock("a", find_interpreter(uv, sys.executable), SIX)
    Store(tmp_path / "cache", uv).ensure(lock)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    calls = uv.calls
    store = Store(tmp_path / "cache", uv)
    assert not store.ensure(lock).built
    assert uv.calls == calls
    shutil.rmtree(store.prefix_for(lock))
    with pytest.raises(BuildError, match="the network is out of reach"):
        store.ensure(lock)
