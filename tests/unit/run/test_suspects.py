"""Promises of `diff`: of the packages that differ, the one that broke a notebook is named first."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.cli.diff import difference_lines
from envsolver.cli.main import cli
from envsolver.core.environments import Environment, Package
from envsolver.core.results import Failure, Result, Run, Shard
from envsolver.report.results_json import write_results
from envsolver.run.difference import Difference, compare, load_run
from envsolver.run.suspects import value_origins

OLD = {"numpy": "1.26.4", "pandas": "2.1", "scipy": "1.11", "scikit-learn": "1.3", "setuptools": "80", "six": "1.16"}
NEW = {"numpy": "2.4.0", "pandas": "3.0", "scipy": "1.17", "scikit-learn": "1.8", "six": "1.16"}
IMPORTS = "import numpy as np\nimport pandas as pd\nfrom scipy import stats\nfrom sklearn.svm import SVC"


def environment(versions: dict[str, str], key: str) -> Environment:
    packages = tuple(Package(name=name, version=version) for name, version in sorted(versions.items()))
    return Environment(key=key, group="core", python="3.11.7", prefix=Path("/gone"), packages=packages)


def a_run(folder: Path, *results: Result, versions: dict[str, str] | None = None, shard: Shard | None = None) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run(
        directory=folder,
        started="2026-11-25T10:00:00+00:00",
        wall_seconds=1,
        workers=1,
        results=results,
        environments=(environment(versions or OLD, "one" if versions is None else "two"),),
        shard=shard,
    )


def passed(notebook: str = "a.ipynb", *, seconds: float = 1.0, key: str = "one") -> Result:
    return Result(notebook=notebook, group="core", python="3.11", status="passed", environment=key, seconds=seconds)


def failed(said: str, *, frames: str = "", source: str = "x", line: int = 1, executed: str = "") -> Result:
    ename, _, evalue = said.partition(": ")
    traceback = f"Cell In[2], line {line}\n----> {line} {source}\n{frames}\n{said}"
    failure = Failure(cell=2, ename=ename, evalue=evalue, traceback=traceback, source=source)
    return Result(
        notebook="a.ipynb",
        group="core",
        python="3.11",
        status="failed",
        environment="two",
        reason=said,
        failure=failure,
        executed=executed,
    )


def difference(folder: Path, broken: Result, cells: tuple[str, ...] = ()) -> Difference:
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), folder / "copy.ipynb")
    return compare(a_run(folder, passed()), a_run(folder, broken, versions=NEW))


PANDAS = "File ~/env/lib/python3.11/site-packages/pandas/core/frame.py:10, in drop(self)\n---> 10     check()\n"
SKLEARN = "File /e/lib/python3.11/site-packages/sklearn/base.py:10, in fit(self)\n---> 10     check()\n"


@pytest.mark.parametrize(
    ("said", "frames", "source", "culprit"),
    [
        ("AttributeError: module 'numpy' has no attribute 'float'", "", "np.float(1)", "numpy"),
        ("AttributeError: module 'numpy' has no attribute 'bool8'", PANDAS, "pd.read_csv('x')", "numpy"),
        ("ImportError: cannot import name 'simps' from 'scipy.integrate' (/e/x.py)", "", "import q", "scipy"),
        ("ModuleNotFoundError: No module named 'setuptools'", "", "import q", "setuptools"),
        ("TypeError: drop() takes 1 argument", "", "frame.drop('a', 1)", "pandas"),
        ("AttributeError: 'DataFrame' object has no attribute 'append'", "", "more.append(frame)", "pandas"),
        ("OptionError: no such option", PANDAS, "frame.plot()", "pandas"),
        ("ValueError: bad value", PANDAS + SKLEARN, "SVC().fit(frame)", "scikit-learn"),
        ("ValueError: numpy.dtype size changed, may indicate binary incompatibility", SKLEARN, "import q", "numpy"),
        ("AssertionError: ", "", "assert result.pvalue < 0.1", "scipy"),
        ("TypeError: __init__() got an unexpected keyword argument", "", "SVC(probability=True)", "scikit-learn"),
    ],
)
def test_the_package_that_broke_a_notebook_comes_first(
    tmp_path: Path, said: str, frames: str, source: str, culprit: str
) -> None:
    cells = (IMPORTS, "array = np.arange(3)\nframe = pd.DataFrame(array)\nmore = frame\nresult = stats.ttest(array)")
    broken = failed(said, frames=frames, source=source, executed="copy.ipynb")
    (found,) = difference(tmp_path, broken, (*cells, source)).broken
    assert found.suspects[0].change.name == culprit
    assert {suspect.change.name for suspect in found.suspects} == OLD.keys() - {"six"}


def test_values_come_from_the_modules_that_they_are_computed_with_the_nearest_first() -> None:
    origins = value_origins(["import a, b.c as d", "%magic\nx = a.f()\ny = d.g(x)\ndef h(): return y", "broken("])
    assert origins == {
        "a": {"a": 0},
        "d": {"b": 0},
        "x": {"a": 1},
        "y": {"b": 1, "a": 2},
        "h": {"b": 2, "a": 3},
    }


def test_what_cannot_be_solved_any_more_is_blamed_on_what_its_reason_names(tmp_path: Path) -> None:
    lost = Result(
        notebook="a.ipynb", group="core", python="3.11", status="environment", reason="Because pandas needs numpy<2."
    )
    (found,) = difference(tmp_path, lost).broken
    assert {suspect.change.name for suspect in found.suspects} == {"numpy", "pandas"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Failed to build `numpy==1.21`\nThe build backend returned an error", "numpy 1.26.4 -> 1.21"),
        ("Failed to download and build `Mk_Alpha==2`", "mk-alpha (none) -> 2"),
    ],
)
def test_a_version_that_could_not_be_had_is_named_first_though_the_first_environment_had_none(
    tmp_path: Path, words: str, said: str
) -> None:
    reason = f"the environment of group core could not be built:\n{words}"
    lost = Result(notebook="a.ipynb", group="core", python="3.11", status="environment", reason=reason)
    lines = list(difference_lines(difference(tmp_path, lost)))
    assert lines[1].endswith(f"could not be built: {words.splitlines()[0]}")
    assert lines[2].strip().startswith(f"{said}: the error")


def test_mended_and_missing_notebooks_are_told_and_skipped_ones_left_out(tmp_path: Path) -> None:
    skipped = Result(notebook="s.ipynb", group="core", python="3.11", status="skipped", reason="no GPU")
    one = a_run(tmp_path, failed("E: x"), passed("s.ipynb"), passed("gone.ipynb"))
    found = compare(one, a_run(tmp_path, passed(), skipped, passed("new.ipynb"), versions=NEW))
    assert [each.notebook for each in found.mended] == ["a.ipynb"]
    assert (found.broken, found.only_before, found.only_after) == ((), ("gone.ipynb",), ("new.ipynb",))


def test_slower_is_what_is_slower_than_the_others_became(tmp_path: Path) -> None:
    names = [f"{letter}.ipynb" for letter in "abcdef"]
    one = a_run(tmp_path, *(passed(name, seconds=4) for name in names))
    two = a_run(tmp_path, *(passed(name, seconds=30 if name == "c.ipynb" else 8) for name in names), versions=NEW)
    assert [each.notebook for each in compare(one, two).slower] == ["c.ipynb"]


def test_a_fraction_of_a_second_is_noise(tmp_path: Path) -> None:
    found = compare(a_run(tmp_path, passed(seconds=0.2)), a_run(tmp_path, passed(seconds=0.9), versions=NEW))
    assert not found.slower


def test_shards_are_one_run_and_their_files_are_found(tmp_path: Path) -> None:
    for index in (1, 2):
        shard = Shard(index=index, count=2, slices=(), notebooks=())
        result = failed("E: x", executed="copy.ipynb") if index == 1 else passed("b.ipynb")
        write_results(a_run(tmp_path / f"s{index}", result, versions=NEW, shard=shard))
    run = load_run(tmp_path)
    assert [result.executed for result in run.results] == ["s1/copy.ipynb", ""]


def test_the_command_fails_when_a_notebook_is_newly_broken_and_names_the_package(tmp_path: Path) -> None:
    write_results(a_run(tmp_path / "one", passed()))
    write_results(a_run(tmp_path / "two", failed("AttributeError: module 'numpy' has no attribute 'x'"), versions=NEW))
    command = ["-C", str(tmp_path), "diff", "one", "two/results.json"]
    said = CliRunner().invoke(cli, command, standalone_mode=False)
    assert said.return_value == 1
    assert said.stdout.splitlines()[2].strip() == "numpy 1.26.4 -> 2.4.0: the error names it"
    data = json.loads(CliRunner().invoke(cli, [*command, "--json"], standalone_mode=False).stdout)
    assert data["broken"][0]["suspects"][0]["change"]["name"] == "numpy"
    assert CliRunner().invoke(cli, ["-C", str(tmp_path), "diff", "one", "one"], standalone_mode=False).return_value == 0
