"""Promise: a group runs under the profile that it names, side by side with what stays on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.integration

NODES = """\
[profiles.nodes]
provider = "local"
workers-per-node = 2
address = "127.0.0.1"
poll = 1
"""
PROJECT = f"""\
[groups.far]
notebooks = ["far/**"]
profile = "nodes"
[groups.near]
notebooks = ["near/**"]
{NODES}"""


def run(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "envsolver", "run", *arguments],
        cwd=root,
        env={
            **os.environ,
            "ENVSOLVER_CACHE_DIR": str(root.parent / "cache"),
            "XDG_CONFIG_HOME": str(root.parent / "home"),
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_a_group_runs_on_nodes_while_the_rest_stays_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for group in ("far", "near"):  # with the same requirements, and so in one environment
        (tmp_path / f"requirements/{group}.in").write_text("# only the kernel\n")
        (tmp_path / group).mkdir()
        for number in range(2):
            cells = [new_code_cell("x = 1"), new_code_cell("assert x == 1" if number else "1 / 0")]
            nbformat.write(new_notebook(cells=cells), tmp_path / f"{group}/{number}.ipynb")
    (tmp_path / "envsolver.toml").write_text(PROJECT)
    refused = run(tmp_path, "--sequential")
    assert (refused.returncode, "--profile local" in refused.stderr) == (2, True)
    done = run(tmp_path)
    found = json.loads((tmp_path / ".envsolver/runs/latest/results.json").read_text())
    results = found["results"]
    assert {result["notebook"]: result["status"] for result in results} == {
        f"{group}/{number}.ipynb": "passed" if number else "failed" for group in ("far", "near") for number in range(2)
    }, done.stdout + done.stderr
    for result in results:
        assert result["worker"].startswith("worker ") == (result["group"] == "near")
        assert result["warm"] or result["status"] == "failed"
    (block,) = found["blocks"]
    assert (block["profile"], block["state"]) == ("nodes", "ended")
    far = {(result["node"], result["block"]) for result in results if result["group"] == "far"}
    assert far == {(block["node"], block["name"])}


@pytest.mark.xdist_group("sent")  # what is left is looked for among what all runs have
@pytest.mark.parametrize("isolation", ["", "copies"])
def test_a_project_that_nodes_do_not_see_is_sent_to_them(isolation: str, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements/far.in").write_text("# only the kernel\n")
    (root / "far").mkdir()
    (root / "data.txt").write_text("old")
    cells = [new_code_cell("from helper import read; assert read() == 'new'"), new_code_cell("open('left.txt', 'w')")]
    nbformat.write(new_notebook(cells=cells), root / "far/a.ipynb")
    (root / "far/helper.py").write_text("def read():\n    return open('../data.txt').read()\n")
    (root / "envsolver.toml").write_text(PROJECT.partition("[groups.near]")[0] + NODES + 'project = "send"\n')
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=root, check=True)  # noqa: S607
    (root / "data.txt").write_text("new")
    moved = tmp_path / "elsewhere"
    # What a node would do that sees the project is no longer there when notebooks run.
    profile = f'worker-init = "mv {root}/data.txt {moved}"\n'
    moved.mkdir()
    with (root / "envsolver.toml").open("a") as file:
        file.write(profile)
    done = run(root, **({"ENVSOLVER_ISOLATION": isolation} if isolation else {}))
    directory = root / ".envsolver/runs/latest"
    (result,) = json.loads((directory / "results.json").read_text())["results"]
    assert result["status"] == "passed", done.stdout + done.stderr + result["reason"]
    assert (result["left_behind"], (moved / "data.txt").exists()) == (["far/left.txt"], True)
    assert (directory / result["executed"]).is_file()
    assert (directory / result["log"]).is_file()
    assert not list(directory.rglob("*.project.tar.gz"))
    assert not list(Path(tempfile.gettempdir()).glob("envsolver-*-project"))
