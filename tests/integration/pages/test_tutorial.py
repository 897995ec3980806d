"""Promise: who types what the tutorial shows sees what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial.md"
INSTALLING = "python -m pip install"


def steps() -> list[tuple[str, list[str]]]:
    """Return each command of the page, with the lines that it shows below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return [step for step in found if not step[0].startswith(INSTALLING)]


def plain(line: str) -> str:
    """Return a line without what differs between two runs: numbers, spaces, the order of notebooks, the shell."""
    line = re.sub(r"/[\w/]*bin/\w+", "SHELL", line)
    line = re.sub(r"\b\d+ (?:ms|s|min)\b|\b\d+\.\d+ s\b", "TIME", line)
    return re.sub(r"\s+", " ", re.sub(r"^\[\s*\d+/|\d+\.\d+|, \d+ at once.*", "", line)).strip()


def test_the_tutorial_shows_what_happens(tmp_path: Path) -> None:
    program = re.search(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", TUTORIAL.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert program is not None
    (tmp_path / program[1]).write_text(program[2], encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "ENVSOLVER_CACHE_DIR": str(tmp_path / "cache")}
    folder = tmp_path
    for command, expected in steps():
        if command.startswith("cd "):
            folder /= command[3:]
            continue
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        real = {plain(line) for line in said.splitlines()}
        assert [line for line in expected if plain(line) not in real] == [], said
    assert (folder / ".envsolver/runs/latest/report.html").is_file()
