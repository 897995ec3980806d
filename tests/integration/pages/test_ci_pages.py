"""Promise: the commands that pages have a CI service run do what the pages say, in the order in which it runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import write_notebook
from shown_pages import ROOT, Step, blocks, play

pytestmark = pytest.mark.integration

HOW_TO = ROOT / "docs/how-to"
NOTEBOOKS = ("a", "b", "c", "d")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a project of four notebooks, of which one fails."""
    root = tmp_path / "project"
    for name in NOTEBOOKS:
        write_notebook(root, f"docs/{name}.ipynb", "1 / 0" if name == "d" else "1")
    (root / "pyproject.toml").write_text('[tool.envsolver]\nnotebooks = ["docs/*.ipynb"]\n', encoding="utf-8")
    return root


def shell(root: Path, *commands: str, **variables: str) -> list[int]:
    """Run commands in one shell, in a project, and return their exit codes."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "ENVSOLVER_CACHE_DIR": str(root.parent / "cache"),
        **variables,
    }
    played = list(play([Step(command=command) for command in commands], root, environment, 200))
    sys.stdout.writelines(output for _, output in played)  # pytest shows it where a test fails
    return [code for code, _ in played]


def verdicts(directory: Path) -> dict[str, str]:
    """Return the verdicts in a run's folder."""
    results = json.loads((directory / "results.json").read_text(encoding="utf-8"))["results"]
    return {Path(result["notebook"]).stem: result["status"] for result in results}


ALL = {"a": "passed", "b": "passed", "c": "passed", "d": "failed"}


def test_gitlab_runs_each_notebook_once_and_merges(root: Path) -> None:
    (text,) = blocks(HOW_TO / "gitlab.md", "yaml")
    jobs: Mapping[str, Any] = yaml.safe_load(text)
    count = jobs["notebooks"]["parallel"]
    codes = []
    for number in range(1, count + 1):
        where = {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(count), "GITLAB_CI": "true"}
        *before, code = shell(root, *jobs["notebooks"]["script"], **where)
        assert not any(before)
        codes.append(code)
        assert shell(root, *jobs["notebooks"]["after_script"], **where) == [0]
        assert list(root.glob(jobs["notebooks"]["artifacts"]["reports"]["junit"]))
        shutil.rmtree(root / ".envsolver")  # each machine has a checkout of its own
    assert sorted(codes) == [0, 0, 0, 1]
    assert shell(root, *jobs["report"]["script"]) == [0, 1]
    assert verdicts(root / "merged") == ALL


def test_circleci_hands_on_what_a_failed_shard_has_and_its_report_fails(root: Path) -> None:
    (text,) = blocks(HOW_TO / "circleci.md", "yaml")
    jobs: Mapping[str, Any] = yaml.safe_load(text)["jobs"]
    scripts = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    count = jobs["notebooks"]["parallelism"]
    for number in range(count):
        where = {"CIRCLE_NODE_INDEX": str(number), "CIRCLE_NODE_TOTAL": str(count), "CIRCLECI": "true"}
        assert shell(root, *scripts["notebooks"], **where) == [0, 0]
    assert shell(root, *scripts["report"]) == [0, 1]
    assert verdicts(root / "merged") == ALL


def test_jenkins_finds_the_report_where_the_page_says(root: Path) -> None:
    (text,) = blocks(HOW_TO / "jenkins.md", "groovy")
    commands = re.findall(r"sh '(.*)'$", text, re.MULTILINE)
    (root / ".envsolver").mkdir()
    assert shell(root, *commands, BUILD_NUMBER="7")[1:] == [0, 1]
    (report,) = re.findall(r'junit "(.*)"$', text, re.MULTILINE)
    assert verdicts((root / report.replace("${BUILD_NUMBER}", "7")).parent) == ALL


def test_the_action_runs_what_it_is_told_from_its_own_checkout(root: Path) -> None:
    (used,) = re.findall(r"arguments: (.*)", blocks(HOW_TO / "github.md", "yaml")[0])
    folder = ROOT / ".github/actions/notebooks"
    steps = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
    (command,) = (step["run"] for step in steps if "run" in step)
    assert shell(root, command, ACTION=str(folder), ARGUMENTS=used) == [1]
    assert verdicts(root / ".envsolver/runs/latest") == ALL


def test_the_workflow_for_others_merges_its_shards(root: Path) -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/notebooks.yml").read_text(encoding="utf-8"))["jobs"]
    (arguments,) = (step["with"]["arguments"] for step in jobs["shard"]["steps"] if "arguments" in step.get("with", {}))
    (merge,) = (step["run"] for step in jobs["report"]["steps"] if "run" in step)
    for number in "12":
        filled = arguments
        for name, value in (("matrix.shard", number), ("strategy.job-total", "2"), ("inputs.arguments", "")):
            filled = filled.replace(f"${{{{ {name} }}}}", value)
        shell(root, f"envsolver run {filled}")
        shutil.copytree(root / ".envsolver/runs", root / f"shards/shard-{number}")  # as the artifacts are unpacked
        shutil.rmtree(root / ".envsolver")
    (root / ".envsolver").mkdir()
    (root / ".envsolver/source").symlink_to(ROOT)
    assert shell(root, merge) == [1]
    assert verdicts(root / "merged") == ALL


def test_the_nightly_workflow_fails_only_for_what_is_newly_broken(root: Path) -> None:
    (text,) = blocks(HOW_TO / "nightlies.md", "yaml")
    steps = yaml.safe_load(text)["jobs"]["newest"]["steps"]
    assert shell(root, *(step["run"] for step in steps if "run" in step)) == [0, 0, 0, 0]


def test_make_runs_the_notebooks(root: Path) -> None:
    (root / "Makefile").write_text(blocks(HOW_TO / "other-runners.md", "make")[0], encoding="utf-8")
    assert shell(root, "make notebooks") == [2]  # make's own code for a command that ended with 1
    assert verdicts(root / ".envsolver/runs/latest") == ALL


def test_tox_installs_the_checkout_and_runs_the_notebooks(root: Path) -> None:
    text = blocks(HOW_TO / "other-runners.md", "ini")[0].replace("/path/to/envsolver", str(ROOT))
    (root / "tox.ini").write_text(text, encoding="utf-8")
    tox = "uvx -q --with tox-uv tox run -q -e notebooks -- docs/a.ipynb docs/b.ipynb"
    assert shell(root, tox, UV_LINK_MODE="hardlink") == [0]
    assert verdicts(root / ".envsolver/runs/latest") == {"a": "passed", "b": "passed"}
