"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from envsolver.core.environments import Interpreter
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv
from envsolver.worker.processes import RUN_MARK, kill_marked

pytest_plugins = ("pytester", "warm_bench")

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SECONDS = 300
"""The limit of each test, where pytest-timeout is there to keep it: in an option, pytest alone would not start."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin("timeout"):
        for item in items:
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(SECONDS))


def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    subprocess.run([find_uv_bin(), *arguments], check=True, capture_output=True, timeout=240)


def _build(prefix: Path) -> None:
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(prefix))
    install = (
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        str(prefix / "bin" / "python"),
        "ipykernel",
    )
    try:
        _uv("--offline", *install)  # once uv's cache is warm, no registry is asked
    except subprocess.CalledProcessError:
        _uv(*install)


@pytest.fixture(scope="session")
def kernel_env(request: pytest.FixtureRequest) -> Path:
    """Return an environment that holds ipykernel and nothing else; built once, and kept in pytest's cache."""
    from filelock import FileLock

    directory = Path(request.config.cache.mkdir("kernel_env"))
    prefix = directory / f"{sys.implementation.cache_tag}-{sys.version_info.micro}"
    complete = prefix / "complete"
    with FileLock(directory / f"{prefix.name}.lock"):
        if not complete.exists() or not (prefix / "bin" / "python").exists():
            _build(prefix)
            complete.touch()
    return prefix


@pytest.fixture
def python() -> Interpreter:
    """Return the interpreter that the tests run on."""
    return find_interpreter(Uv(Path.cwd()), sys.executable)


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a run's mark, and end what carries it afterwards."""
    name = f"{os.getpid()}-{request.node.name}"
    yield name
    kill_marked(RUN_MARK, name)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Start no process that ignores an interruption, as these tests themselves may, under nohup."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
