"""Promise: what a message advises is done to the letter, and cures the fault.

Each test lays a fault into a made-up project, reads the message, does what that says and nothing else, and looks again.
Settings are read by the real loader, notebooks and requirements by the real readers and the real resolver; uv alone is
played, by an oracle that knows which requirements exclude each other.
"""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import nbformat
import pytest
from fakes import FakeOracle, with_options
from nbformat.v4 import new_code_cell, new_notebook

from envsolver.config.load import load_config, settings_for
from envsolver.core.environments import Assignment, Interpreter
from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import Job
from envsolver.core.notebooks import Notebook
from envsolver.notebooks.distributions import distributions_for
from envsolver.notebooks.read import read_notebook
from envsolver.resolver.assignment import assign, supplies
from envsolver.resolver.declared import declared
from envsolver.resolver.demands import NotebookRequirements, demand_of
from envsolver.resolver.derive import derive
from envsolver.resolver.groups import read_groups
from envsolver.resolver.oracle import Finding
from envsolver.run.directories import prepare_state
from envsolver.run.history import History
from envsolver.run.jobs import JobDefaults, plan_jobs
from envsolver.run.machine import check_process_limit
from envsolver.run.resolution import Resolution
from envsolver.run.shards import parse_shard
from envsolver.worker.prepare import prepare, read
from envsolver.worker.verdicts import CurrentCell, KernelExit, judge_exit, judge_reply, judge_timeout

NB = "demos/a.ipynb"
PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")
NEWER = replace(PYTHON, request="3.12", version="3.12.1")

SETTING = re.compile(r"`(?P<line>[^`]+ = [^`]+)` (?:in|to) \[(?P<table>[^\[\]]+)\] of (?P<file>\w+\.toml)")

Refusals = dict[frozenset[str], str]
"""Requirements that have no solution, with uv's words."""


@dataclass(frozen=True)
class Made:
    """A project with one notebook, and what is found of it."""

    root: Path

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def add(self, path: str, line: str) -> None:
        """Add a line to a file."""
        before = (self.root / path).read_text(encoding="utf-8") if (self.root / path).exists() else ""
        self.write(path, f"{before}\n{line}\n")

    def cells(self, *sources: str) -> None:
        """Write the notebook."""
        (self.root / NB).parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), self.root / NB)

    def follow(self, message: str, **values: str) -> None:
        """Set what a message says, with these words in the place of its placeholders."""
        found = SETTING.findall(message)
        assert found, message
        line, table, file = next(each for each in found if any(f"<{name}>" in each[0] for name in values) or not values)
        for name, value in values.items():
            line = line.replace(f"<{name}>", value)
        assert "<" not in line
        self.add(file, f"[{table}]\n{line}")

    def notebook(self) -> Notebook:
        """Read the notebook as a run does."""
        config = load_config(self.root)
        return read_notebook(config.root, NB, settings_for(config, NB))

    def demand(self) -> NotebookRequirements:
        """Return what the notebook asks for."""
        table = partial(distributions_for, extra=load_config(self.root).modules)
        return demand_of(self.notebook(), distributions=table, declared=declared(self.root, (self.root / NB).parent))

    def derived(self, refusals: Refusals | None = None, python: Interpreter = PYTHON) -> Assignment:
        """Derive the notebook's environment, in a universe where some requirements have no solution."""

        def find(items: frozenset[str]) -> Finding:
            met = [(these, words) for these, words in (refusals or {}).items() if these <= items]
            if not met or (python is NEWER and "Python" in met[0][1]):
                return Finding(solved=True)
            return Finding(solved=False, explanation=met[0][1], suspects=met[0][0])

        (found,) = derive([self.demand()], interpreter=python, oracle=FakeOracle(find), root=self.root).assignments
        return found

    def assigned(self) -> Assignment:
        """Put the notebook into a configured group."""
        config = load_config(self.root)
        return assign(
            self.notebook(),
            config=config,
            settings=settings_for(config, NB),
            supplied=supplies(self.root, read_groups(config), {}),
            distributions=partial(distributions_for, extra=config.modules),
        )

    def job(self, timeout: float | None = None) -> Job:
        """Return the notebook's job, in a configured group if there is one, else in an environment of its own."""
        config, notebook = load_config(self.root), self.notebook()
        groups = read_groups(config)
        if not groups:
            made = derive([self.demand()], interpreter=PYTHON, oracle=FakeOracle(_all_goes), root=self.root)
            groups = {each.name: each for each in made.groups}
        placed = Assignment(notebook=NB, group=next(iter(groups)), why="a test")
        resolution = Resolution(
            notebooks={NB: notebook},
            groups=groups,
            interpreters={"3.11": PYTHON},
            locks={},
            faults={},
            assignments=(placed,),
        )
        defaults = JobDefaults(config=config, run_id="r", run_dir=self.root, timeout=timeout)
        (planned,), _ = plan_jobs(defaults, resolution, [placed])
        return planned

    def cells_run(self) -> list[bool]:
        """Return which cells a worker executes."""
        return [cell.run for cell in prepare(read(self.root / NB), self.job().edits).cells]

    def missing(self, module: str) -> str:
        """Return the reason that stands where a module is missing while the notebook runs."""
        error = {"status": "error", "ename": "ModuleNotFoundError", "evalue": f"No module named '{module}'"}
        judgement = judge_reply(self.job(), CurrentCell(number=1), error)
        assert judgement is not None
        return judgement.reason


def _all_goes(_: frozenset[str]) -> Finding:
    return Finding(solved=True)


@pytest.fixture(params=["pyproject.toml", "envsolver.toml"])
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Made:
    project = Made(tmp_path)
    project.cells("x = 1", "y = 2")
    project.write(request.param, "")
    return project


@pytest.fixture
def plain(tmp_path: Path) -> Made:
    project = Made(tmp_path)
    project.cells("x = 1")
    project.write("envsolver.toml", "")
    return project


# While a notebook runs.

CELL = CurrentCell(number=1, source="work()")


@pytest.mark.parametrize("metadata", [None, 7.0])
def test_a_cells_limit_is_raised(made: Made, metadata: float | None) -> None:
    if metadata:
        notebook = nbformat.read(made.root / NB, as_version=4)
        notebook.metadata["execution"] = {"timeout": metadata}
        nbformat.write(notebook, made.root / NB)
    before = made.job()
    made.follow(judge_timeout(before, CELL, whole=False).reason)
    assert made.job().limits.cell_timeout == 2 * before.limits.cell_timeout


@pytest.mark.parametrize("cell", [CELL, CurrentCell()], ids=["in a cell", "not ready"])
def test_a_notebooks_limit_is_raised_by_a_setting_and_by_the_option(made: Made, cell: CurrentCell) -> None:
    before = made.job()
    reason = judge_timeout(before, cell, whole=True).reason
    (option,) = re.findall(r"`--timeout (\d+)`", reason)
    assert made.job(timeout=float(option)).limits.timeout == 2 * before.limits.timeout
    made.follow(reason)
    assert made.job().limits.timeout == 2 * before.limits.timeout


def test_a_memory_limit_is_raised(made: Made) -> None:
    before = with_options(made.job(), memory=500 * 2**20)
    made.follow(judge_exit(before, CELL, KernelExit(code=-9, used=600 * 2**20)).reason)
    assert made.job().limits.memory == 1000 * 2**20


def test_a_cell_that_leaves_the_kernel_is_left_out(made: Made) -> None:
    leaving = {"status": "ok", "payload": [{"source": "ask_exit"}]}
    made.cells("exit()", "y = 2")
    judgement = judge_reply(made.job(), CELL, leaving)
    assert judgement is not None
    made.follow(judgement.reason, **{"text of it": "exit("})
    assert made.cells_run() == [False, True]


@pytest.mark.parametrize("scripted", [False, True])
def test_a_module_that_is_missing_is_added_to_what_the_notebook_itself_says(plain: Made, scripted: bool) -> None:
    block = "# /// script\n# dependencies = []\n# ///\n"
    plain.cells(f"{block if scripted else ''}import made_up")
    reason = plain.missing("made_up")
    if scripted:
        assert reason.endswith("to the `# /// script` block of the notebook")
        plain.cells(block.replace("[]", '["made-up-dist"]') + "import made_up")
    else:
        assert reason.endswith("to an unconditional `%pip install` line of the notebook")
        plain.cells("%pip install made-up-dist\nimport made_up")
    assert plain.demand().items == {"made-up-dist"}


def test_what_a_condition_kept_from_being_installed_is_installed_without_it(plain: Made) -> None:
    plain.cells("if x:\n    %pip install made-up")
    assert plain.demand().items == set()
    assert "unconditional `%pip install`" in plain.job().binding.requirements_place
    plain.cells("%pip install made-up")
    assert plain.demand().items == {"made-up"}


def test_a_module_that_is_missing_is_added_to_the_groups_file(plain: Made) -> None:
    plain.write("requirements/core.in", "numpy\n")
    reason = plain.missing("made_up")
    (file,) = re.findall(r"to (requirements/\S+)$", reason)
    plain.add(file, "made-up-dist")
    assert [r.text for r in read_groups(load_config(plain.root))["core"].requirements] == ["numpy", "made-up-dist"]


# When environments are derived from what notebooks say.

UNKNOWN = "Because torch was not found in the package registry and you require torch, we can conclude"
NO_WHEEL = "Because torch==2 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require torch"
OLD_PYTHON = (
    "Because the current Python version (3.11.7) does not satisfy Python>=3.12 and six==9 depends on Python>=3.12, "
    "we can conclude that six==9 cannot be used."
)


def refused(*items: str, words: str = "no words") -> Refusals:
    return {frozenset(items): words}


def test_a_module_of_another_distribution_is_named(made: Made) -> None:
    made.cells("import torch")
    universe = refused("torch", words=UNKNOWN)
    made.follow(made.derived(universe).reason, distribution="my-torch")
    assert made.derived(universe).verdict is None
    assert made.demand().items == {"my-torch"}


def test_a_notebook_is_skipped_by_the_setting_that_any_such_reason_names(made: Made) -> None:
    made.cells("%pip install nosuch")
    reason = made.derived(refused("nosuch")).reason
    made.follow(reason, reason="later")
    config = load_config(made.root)
    assert settings_for(config, NB).skip == "later"


@pytest.mark.parametrize(
    ("before", "universe", "advice", "after"),
    [
        (
            "import torch",
            refused("torch", words=NO_WHEEL),
            "choose a version with `%pip install` in the notebook",
            "%pip install torch==1.13\nimport torch",
        ),
        ("%pip install nosuch", refused("nosuch"), "change that line", "%pip install such"),
        (
            '%pip install "six<1" "six>=1"',
            refused("six<1", "six>=1"),
            "change one of these lines",
            "%pip install six",
        ),
        (
            '%pip install "six<1" "six>=1"',
            refused("six<1", "six>=1"),
            "list versions that fit in a `# /// script` block of the notebook",
            '# /// script\n# dependencies = ["six"]\n# ///\n%pip install "six<1" "six>=1"',
        ),
        (
            '# /// script\n# dependencies = ["six<1", "six>=1"]\n# ///',
            refused("six<1", "six>=1"),
            "change one of these lines",
            '# /// script\n# dependencies = ["six>=1"]\n# ///',
        ),
        (
            "# /// script\n# dependencies = [\n# ///",
            {},
            "correct the block",
            "# /// script\n# dependencies = []\n# ///",
        ),
        ("!pip install six=1.0", {}, "change that line", "!pip install six==1.0"),
        ("!pip install ../../elsewhere", {}, "change that line", "!pip install elsewhere"),
        ("!pip install -r nosuch.txt", {}, "change that line", "!pip install six"),
    ],
    ids=[
        *("no wheel", "unknown", "meet", "meet, by a block", "meet in a block", "a bad block", "no requirement"),
        *("outside", "no file"),
    ],
)
def test_a_line_is_changed(plain: Made, before: str, universe: Refusals, advice: str, after: str) -> None:
    plain.cells(before)
    assert advice in plain.derived(universe).reason
    plain.cells(after)
    assert plain.derived(universe).verdict is None


@pytest.mark.parametrize(
    "line",
    [
        "!pip install --target libs six",
        "!pip install {name}",
        "!pip install -r https://example.org/requirements.txt",
        "!pip install --group dev",
        "!pip install --prefix libs six",
        "!pip install --python 3.9 six",
        "!pip install hg+https://example.org/x",
        "!pip install ./nosuch",
    ],
)
def test_a_cell_whose_install_cannot_be_had_is_left_out(made: Made, line: str) -> None:
    made.cells(line, "x = 1")
    made.follow(made.derived().reason, **{"text of it": "!pip install"})
    assert made.derived().verdict is None
    assert made.cells_run() == [False, True]


def test_another_python_is_taken(plain: Made) -> None:
    plain.cells("%pip install six==9")
    universe = refused("six==9", words=OLD_PYTHON)
    assert "run it on a Python >=3.12 with `--python`" in plain.derived(universe).reason
    assert plain.derived(universe, NEWER).verdict is None


# When groups are configured.


def test_a_group_that_lacks_something_gets_the_lines(plain: Made) -> None:
    plain.write("requirements/core.in", "numpy\n")
    plain.cells("import numpy, sklearn, cv2")
    reason = plain.assigned().reason
    (file,) = re.findall(r"to (requirements/\S+)$", reason)
    for line in re.findall(r"`([^`]+)`", reason):
        plain.add(file, line)
    assert plain.assigned().group == "core"


def test_a_group_that_lacks_the_project_itself_gets_the_line_of_the_group_that_has_it(plain: Made) -> None:
    plain.write("pyproject.toml", '[project]\nname = "my-dist"\nversion = "1"\n')
    plain.write("mine/__init__.py", "")
    plain.write("requirements/one.in", "numpy\n")
    plain.write("requirements/two.in", "-e .\n")
    plain.cells("import mine")
    assert plain.assigned().group == "two"
    plain.cells("import mine, numpy")
    reason = plain.assigned().reason
    (line, file) = re.findall(r"add `([^`]+)` to (requirements/\S+)$", reason)[0]
    plain.add(file, line)
    assert plain.assigned().group == Path(file).stem


@pytest.mark.parametrize("configured", [True, False])
def test_a_group_that_is_named_is_added(plain: Made, configured: bool) -> None:
    if not configured:
        (plain.root / "envsolver.toml").unlink()
    notebook = new_notebook(cells=[new_code_cell("x = 1")], metadata={"envsolver": {"group": "extra"}})
    nbformat.write(notebook, plain.root / NB)
    reason = plain.assigned().reason
    (file,) = re.findall(r"or add (requirements/\w+\.in)", reason)
    plain.write(file, "six\n")
    if "an empty envsolver.toml" in reason:
        plain.write("envsolver.toml", "")
    assert plain.assigned().group == "extra"


def test_a_notebook_that_no_group_names_is_added_to_one(plain: Made) -> None:
    plain.write("requirements/core.in", "six\n")
    plain.write("envsolver.toml", '[groups.core]\nnotebooks = ["other/*.ipynb"]\n')
    assert "add it to the `notebooks` of core" in plain.assigned().reason
    plain.write("envsolver.toml", f'[groups.core]\nnotebooks = ["other/*.ipynb", "{NB}"]\n')
    assert plain.assigned().group == "core"


# Before anything runs.


def replaced(pattern: str) -> Callable[[str, str], str]:
    """Return a cure: what a message suggests, its first group, is written in the place of what the pattern finds."""

    def cure(text: str, message: str) -> str:
        found = re.search(r"did you mean ([\w-]+)\?|write \"([^\"]+)\"|stand under \[(\w+)[.]", message)
        assert found, message
        return re.sub(pattern, next(filter(None, found.groups())), text)

    return cure


SERVICES = '[services.beam]\ncommand = "x {port}"\n[groups.core]\nrequirements = "r.in"\nservices = ["baem"]\n'


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("tiemout = 5\n", replaced("tiemout")),
        ('notebooks = ["demos"]\n', replaced('demos(?=")')),
        (SERVICES, replaced("baem")),
        (
            '[groups.core]\nrequirements = "r.in"\n[notebook."demos/a.ipynb"]\ngroup = "cor"\n',
            replaced('(?<=")cor(?=")'),
        ),
        ('notebooks = ["demos/*"]\n[notebooks."demos/a.ipynb"]\ntimeout = 5\n', replaced("(?<=\\[)notebooks(?=[.])")),
        ('[notebooks."demos/a.ipynb"]\ntimeout = 5\n', replaced("notebooks(?=[.])")),
        ('exclude = ["demos\\\\b.ipynb"]\n', lambda text, _: text.replace("\\\\", "/")),
        ('exclude-newer = "2025-06-30T12:00:00"\n', lambda text, _: text.replace('00"', '00Z"')),
        ('[groups."a b"]\nrequirements = "r.in"\n', lambda text, _: text.replace("a b", "a-b")),
    ],
    ids=["key", "directory", "service", "group", "both", "plural", "backslash", "time", "name"],
)
def test_a_configuration_is_corrected(plain: Made, text: str, cure: Callable[[str, str], str]) -> None:
    plain.write("r.in", "six\n")
    plain.write("envsolver.toml", text)
    for _ in range(2):  # the first fault may hide the next
        try:
            load_config(plain.root)
        except ConfigurationError as error:
            text = cure(text, f"{error.message} {error.tip}")
            plain.write("envsolver.toml", text)
    assert load_config(plain.root).source == "envsolver.toml"


def fault(work: Callable[[], object]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        work()
    return caught.value


def test_of_two_configurations_one_is_kept(plain: Made) -> None:
    plain.write("pyproject.toml", "[tool.envsolver]\ntimeout = 5\n")
    assert fault(lambda: load_config(plain.root)).tip == "Keep one of the two."
    (plain.root / "envsolver.toml").unlink()
    assert load_config(plain.root).timeout == 5


def test_a_configuration_is_saved_as_utf_8(plain: Made) -> None:
    text = '[notebook."demos/a.ipynb"]\nskip = "größer"\n'
    (plain.root / "envsolver.toml").write_bytes(text.encode("latin-1"))
    assert fault(lambda: load_config(plain.root)).tip == "Save the file as UTF-8."
    plain.write("envsolver.toml", text)
    assert settings_for(load_config(plain.root), NB).skip == "größer"


def test_a_file_in_the_way_of_the_state_is_deleted(plain: Made) -> None:
    (plain.root / ".envsolver").touch()
    assert fault(lambda: prepare_state(plain.root / ".envsolver")).tip == "Move or delete the file."
    (plain.root / ".envsolver").unlink()
    prepare_state(plain.root / ".envsolver")


def test_a_damaged_history_is_replaced_by_the_next_run(plain: Made) -> None:
    file = plain.root / "history.sqlite"
    file.write_bytes(b"no history" * 500)
    history = History(file)
    assert "makes a new one" in fault(history.records).tip
    history.record_facts({"environment": "{}"})
    assert history.records() == ()


@pytest.mark.parametrize("text", ["5/4", "two"])
def test_a_shard_is_written_as_the_fault_says(text: str) -> None:
    (form,) = re.findall(r"(?:as|are) (\d/\d)", fault(lambda: parse_shard(text, {})).message)
    assert parse_shard(form, {})


def test_fewer_workers_stay_below_a_limit_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr("envsolver.run.machine.count_threads", lambda _: 10)
    (few,) = re.findall(r"--workers (\d+)", fault(lambda: check_process_limit(8)).tip)
    check_process_limit(int(few))


def test_an_old_notebook_is_saved_again_with_jupyter(plain: Made) -> None:
    old = {"nbformat": 2, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [], "metadata": {}}]}
    plain.write(NB, json.dumps(old))
    assert "Save it again with Jupyter" in str(plain.notebook().fault)
    nbformat.write(nbformat.read(plain.root / NB, as_version=4), plain.root / NB)
    assert plain.notebook().fault is None
