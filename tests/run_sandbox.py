"""A project of its own for the tests of whole runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.worker.processes import RUN_MARK


class Sandbox:
    """A project in a temporary directory, and the command run in it."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        (root / "requirements").mkdir(parents=True)
        (root / "requirements" / "base.in").write_text("# only the kernel\n")
        self.configure("")

    def configure(self, text: str) -> None:
        (self.root / "envsolver.toml").write_text(text)

    def notebook(self, name: str, *cells: str, **metadata: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=metadata), path)

    def environ(self, **changes: str) -> dict[str, str]:
        return {**os.environ, "ENVSOLVER_CACHE_DIR": str(self.cache), **changes}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "envsolver", *arguments]

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("run", *arguments),
            cwd=self.root,
            env=self.environ(**changes),
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command("run", *arguments),
            cwd=self.root,
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / ".envsolver/runs/latest/results.json").read_text())
        return found

    def by_notebook(self) -> dict[str, dict[str, Any]]:
        return {result["notebook"]: result for result in self.results()["results"]}

    def verdicts(self) -> dict[str, str]:
        return {name: result["status"] for name, result in self.by_notebook().items()}


def marked_processes(root: Path) -> list[psutil.Process]:
    """Return the living processes of runs in a project: they carry a run's mark and their job's root or directory."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if RUN_MARK in environ and process.status() != psutil.STATUS_ZOMBIE and _belongs(process, environ, root):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _belongs(process: psutil.Process, environ: dict[str, str], root: Path) -> bool:
    return environ.get("ENVSOLVER_TEST") == str(root) or environ.get("PWD") == str(root)


SLEEPER = """import subprocess, sys
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)"""

FOREVER = "import pathlib, time\nwhile True:\n    time.sleep(0.1)"


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
