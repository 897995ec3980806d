"""The ways to run a suite that are compared, each as commands that a person would type."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suites import notebooks

LOOP = """
import sys
import nbformat
from nbclient import NotebookClient

for name in sys.argv[1:]:
    notebook = nbformat.read(name, 4)
    folder = name.rpartition("/")[0] or "."
    NotebookClient(notebook, kernel_name="python3", timeout=600, resources={"metadata": {"path": folder}}).execute()
"""

UNIT_TEST = """
import unittest
import nbformat
from nbclient import NotebookClient


class TestNotebook(unittest.TestCase):
    def test_notebook(self):
        notebook = nbformat.read({name!r}, 4)
        NotebookClient(
            notebook, kernel_name="python3", timeout=600, resources={{"metadata": {{"path": {folder!r}}}}}
        ).execute()


if __name__ == "__main__":
    unittest.main()
"""

ORIGIN = """
import sys
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider


@parsl.bash_app
def run(file):
    return f"python {file}"


workers, *files = sys.argv[1:]
executor = HighThroughputExecutor(
    label="local", max_workers_per_node=int(workers), provider=LocalProvider(init_blocks=1, max_blocks=1)
)
with parsl.load(Config(executors=[executor], run_dir="parsl-origin", usage_tracking=0)):
    for future in [run(file) for file in files]:
        future.result()
"""


class NotPassedError(Exception):
    """A notebook did not pass, or the runner itself failed; the message holds its last words."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One suite, ready to be run: its project, its environment, and how many notebooks may run at once."""

    project: Path
    prefix: Path
    workers: int

    @property
    def activated(self) -> dict[str, str]:
        """Environment variables as in a shell in which the environment is activated."""
        return {**os.environ, "PATH": f"{self.prefix / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    @property
    def python(self) -> str:
        """The environment's interpreter, which every contender's kernels run on."""
        return str(self.prefix / "bin" / "python")


def envsolver(setting: Setting, *options: str) -> None:
    """Run `envsolver run`, all notebooks anew, whatever is known of them."""
    command = [
        sys.executable,
        "-m",
        "envsolver",
        "run",
        "--quiet",
        "--rerun",
        "--workers",
        str(setting.workers),
        *options,
    ]
    check(setting, command)


def first(setting: Setting) -> None:
    """Run `envsolver run` as on a machine where the notebooks never ran, and leave the history as it was."""
    history, kept = setting.project / ".envsolver/history.sqlite", setting.project / "history.kept"
    history.replace(kept)
    try:
        envsolver(setting)
    finally:
        kept.replace(history)


def loops(setting: Setting, count: int | None = None) -> None:
    """Run `count` sequential nbclient loops side by side, the notebooks dealt out in turn."""
    script = setting.project / "loop.py"
    script.write_text(LOOP)
    files = [str(path) for path in notebooks(setting.project)]
    count = count or setting.workers
    started = [
        subprocess.Popen(
            [setting.python, str(script), *files[start::count]], cwd=setting.project, stderr=subprocess.DEVNULL
        )
        for start in range(count)
    ]
    codes = [process.wait() for process in started]
    if any(codes):
        raise NotPassedError("a notebook did not pass in an nbclient loop")


def nbmake(setting: Setting) -> None:
    """Run `pytest --nbmake -n N`; it would look for the kernels that the notebooks name, wherever they were saved."""
    options = ["--nbmake", "--nbmake-kernel=python3", "-n", str(setting.workers)]
    command = [setting.python, "-m", "pytest", "-q", *options, "notebooks"]
    check(setting, command)


def origin(setting: Setting) -> None:
    """Run a generated unittest file per notebook as a Parsl `bash_app`."""
    files = []
    for number, path in enumerate(notebooks(setting.project)):
        file = setting.project / f"tb_{number}.py"
        file.write_text(UNIT_TEST.format(name=str(path), folder=str(path.parent)))
        files.append(str(file))
    script = setting.project / "origin.py"
    script.write_text(ORIGIN)
    check(setting, [setting.python, str(script), str(setting.workers), *files])


def check(setting: Setting, command: list[str]) -> None:
    """Run a command in the project, where every notebook must pass."""
    done = subprocess.run(
        command, cwd=setting.project, env=setting.activated, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotPassedError(
            f"{' '.join(command[:6])} … ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )


CONTENDERS: dict[str, Callable[[Setting], None]] = {
    "envsolver": envsolver,
    "envsolver, first run": first,
    "envsolver --cold": lambda setting: envsolver(setting, "--cold"),
    "nbclient loops": loops,
    "nbmake": nbmake,
    "parsl + unittest": origin,
    "nbclient, one loop": lambda setting: loops(setting, 1),
}
