"""What the tests of whole runs stand on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from run_sandbox import Sandbox


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sandbox(tmp_path: Path, cache: Path) -> Sandbox:
    return Sandbox(tmp_path / "a project", cache)


@pytest.fixture
def started(sandbox: Sandbox, interruptible: None) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start runs that are ended, whatever happens to the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        processes.append(sandbox.start(*arguments))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def recognisable(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all processes of this test's runs carry its name."""
    monkeypatch.setenv("ENVSOLVER_TEST", str(sandbox.root))
    monkeypatch.setenv("PWD", str(sandbox.root))
