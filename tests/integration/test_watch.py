"""Promise: while files are watched, each save runs what depends on the saved file, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import until, write_notebook

pytestmark = pytest.mark.integration

WAITING = "waiting for a save"


class Watched:
    """A project, and the command that watches it, writing to a file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = root.with_name("output")
        (root / "helper.py").write_text("VALUE = 1\n")
        (root / "envsolver.toml").write_text("")
        (root / "requirements").mkdir()
        (root / "requirements/base.in").write_text("# only the kernel\n")
        write_notebook(root, "imports.ipynb", "import helper; print(helper.VALUE)")
        write_notebook(root, "plain.ipynb", "1 + 1")
        environment = {**os.environ, "ENVSOLVER_CACHE_DIR": str(root.with_name("cache")), "PYTHONUNBUFFERED": "1"}
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "envsolver", "run", "--watch", "--sequential"],
                cwd=root, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def round(self, number: int) -> str:
        """Wait for a round's end, and return what it said."""
        until(lambda: self.process.poll() is not None or self.output.read_text().count(WAITING) >= number)
        assert self.process.poll() is None, self.output.read_text()
        return self.output.read_text().split(WAITING)[number - 1]

    def save(self, source: str) -> None:
        """Save the notebook whole, as editors do: half of a file would be a round of its own."""
        write_notebook(self.root.parent, "plain.ipynb", source)
        (self.root.parent / "plain.ipynb").replace(self.root / "plain.ipynb")


@pytest.fixture
def watched(tmp_path: Path, interruptible: None) -> Iterator[Watched]:
    (tmp_path / "project").mkdir()
    project = Watched(tmp_path / "project")
    yield project
    if project.process.poll() is None:
        os.killpg(project.process.pid, signal.SIGKILL)
        project.process.wait()


def test_each_save_runs_what_depends_on_it_until_it_is_interrupted(watched: Watched) -> None:
    assert "2 passed, 0 failed" in watched.round(1)
    (watched.root / "helper.py").write_text("VALUE = 2\n")
    said = watched.round(2)
    assert "running 1 " in said
    assert "imports.ipynb" in said.split("[1/1] passed")[1].splitlines()[0]

    watched.save("1 / 0")
    assert "1 passed, 1 failed" in watched.round(3)
    (watched.root / "README.md").write_text("what no notebook reads")
    said = watched.round(4)
    assert ("running" in said, "1 passed, 1 failed" in said) == (False, True)

    sleeping = watched.root.with_name("sleeping")
    watched.save(f"import time; open({str(sleeping)!r}, 'w').close(); time.sleep(600)")
    until(sleeping.exists)
    watched.save("2 + 2")
    said = watched.round(5)
    assert ("2 passed, 0 failed" in said, "Traceback" in said) == (True, False), said

    (watched.root / "envsolver.toml").write_text("no table")
    until(lambda: "envsolver.toml" in watched.output.read_text().split(WAITING)[-1])
    (watched.root / "envsolver.toml").write_text("")
    assert "2 passed, 0 failed" in watched.round(6)

    os.killpg(watched.process.pid, signal.SIGINT)
    assert watched.process.wait(20) == 130
