"""A notebook that no environment serves says what to do about it, with the exact key or line."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeUv, notebook, refused, required

from envsolver.core.environments import Interpreter
from envsolver.core.notebooks import Notebook, Origin, Requirement, Script
from envsolver.resolver.demands import NotebookRequirements, demand_of
from envsolver.resolver.derive import derive
from envsolver.resolver.explanations import build_failure
from envsolver.resolver.locks import OUT_OF_REACH
from envsolver.resolver.oracle import Finding, UvOracle
from envsolver.resolver.remedies import remedy
from envsolver.resolver.solve_options import SolveOptions

PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")

TABLE = '[tool.envsolver.notebook."a.ipynb"] of pyproject.toml'
SKIP = f'skip the notebook with `skip = "<reason>"` in {TABLE}'
UNKNOWN = "Because lost-name was not found in the package registry and you require lost-name, we can conclude"
NO_WHEEL = "Because torch==1.4.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you require torch"

BUILD = "[build-system] in pyproject.toml"

OLD_PYTHON = """Because the current Python version (3.11.7) does not satisfy Python>=3.12 and mine==1 depends on
Python>=3.12, we can conclude that mine==1 cannot be used."""


def distributions(module: str) -> tuple[str, ...]:
    return ("opencv-python",) if module.startswith("cv2") else (module.split(".", maxsplit=1)[0].replace("_", "-"),)


def reason(given: Notebook, explanation: str, root: Path) -> str:
    demand = demand_of(given, distributions=distributions)

    class Refusing:
        def solve(self, items: frozenset[str]) -> Finding:
            return Finding(solved=items != demand.items, explanation=explanation)

    (assignment,) = derive([demand], interpreter=PYTHON, oracle=Refusing(), root=root).assignments
    assert assignment.verdict == "environment"
    return assignment.reason


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "explanation", "advice"),
    [
        (
            notebook(imports=["lost_name.part"]),
            UNKNOWN,
            (
                'add `lost_name = "<distribution>"` to [tool.envsolver.modules] of pyproject.toml '
                f"if another distribution provides it, or {SKIP}"
            ),
        ),
        (
            notebook(installs=required("lost-name")),
            UNKNOWN,
            f"change that line, choose another Python with `--python`, or {SKIP}",
        ),
        (
            notebook(imports=["torch"]),
            NO_WHEEL,
            f"choose a version with `%pip install` in the notebook, or a Python with `--python`, or {SKIP}",
        ),
        (
            notebook(installs=required("numpy<2", "numpy>=2")),
            "",
            "change one of these lines, list versions that fit in a `# /// script` block of the notebook, or " + SKIP,
        ),
        (
            notebook(script=Script(dependencies=required("numpy<2", "numpy>=2"))),
            "",
            f"change one of these lines, or {SKIP}",
        ),
        (
            notebook(refused=('a.ipynb, cell 1, line 1: "hg+https://x" cannot be installed: it is an address.',)),
            "",
            f'change that line, leave its cell out with `skip-cells = ["<text of it>"]` in {TABLE}, or {SKIP}',
        ),
        (
            notebook(script_fault="a.ipynb, cell 1, line 1: the script block is not valid TOML: no"),
            "",
            f"correct the block, or {SKIP}",
        ),
        (
            notebook(installs=required("-e .")),
            "Failed to build `x`",
            f"see why `uv run --no-project --python 3.11 --with-editable . python -V` fails here, or {SKIP}",
        ),
        (
            notebook(installs=required("-e .")),
            "Failed to build `x`\n  import numpy\nModuleNotFoundError: No module named 'numpy'",
            f"name what provides numpy, beside what else builds it, in `requires` of {BUILD}, or {SKIP}",
        ),
        (
            notebook(installs=required("-e .")),
            "Failed to build `x`\n  fatal: detected dubious ownership in repository at '/home/a b'\nError: no version",
            (
                "its files belong to another user, so git, which its build asks, needs "
                f"`git config --global --add safe.directory '/home/a b'`, or {SKIP}"
            ),
        ),
        (
            notebook(script=Script(dependencies=required("y @ git+https://x/y"))),
            "Git operation failed",
            f"see why `uv run --no-project --python 3.11 --with 'y @ git+https://x/y' python -V` fails here, or {SKIP}",
        ),
        (
            notebook(installs=required("git+https://x/y")),
            f"https://x/y is {OUT_OF_REACH}",
            f"connect to the network, or {SKIP}",
        ),
        (
            notebook(installs=required("-e .")),
            OLD_PYTHON,
            f"run it on a Python >=3.12 with `--python`, or {SKIP}",
        ),
    ],
    ids=[
        *("import", "install", "no wheel", "conflict", "in a block", "refused", "bad block", "own package"),
        *("build tools", "another user's", "fetched", "out of reach", "old Python"),
    ],
)
def test_the_reason_ends_with_what_to_do(root: Path, given: Notebook, explanation: str, advice: str) -> None:
    assert reason(given, explanation, root).endswith(f": {advice}")


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ("only idna<=3.20 is available and you require idna>=99", "idna>=99 (--with) cannot be installed: "),
        ("you require six<1 and idna>=99", "six<1 (a.ipynb, cell 1, line 1) and idna>=99 (--with) cannot be installed"),
    ],
)
def test_what_the_command_line_adds_is_not_blamed_on_the_notebook(tmp_path: Path, words: str, begins: str) -> None:
    demand = demand_of(notebook(installs=required("six<1")), distributions=distributions)
    uv = FakeUv(tmp_path, refused(f"error: No solution found when resolving dependencies:\n  cause: {words}"))
    oracle = UvOracle(uv, PYTHON, cache=None, terms=SolveOptions(more=("idna>=99",)))
    (assignment,) = derive([demand], interpreter=PYTHON, oracle=oracle, root=tmp_path).assignments
    assert assignment.reason.startswith(begins)
    assert assignment.reason.endswith(": change what `--with` asks for")


def test_where_there_is_no_pyproject_the_other_file_is_named(tmp_path: Path) -> None:
    demand = NotebookRequirements(notebook='a "b".ipynb', modules={"lost": "lost"})
    asked = Requirement(text="lost", origin=Origin(path="a.ipynb"))
    advice = remedy(demand, [asked], "lost was not found in the package registry", tmp_path, "3.11")
    assert "[modules] of envsolver.toml" in advice
    assert '[notebook."a \\"b\\".ipynb"] of envsolver.toml' in advice


def test_the_module_is_the_one_that_the_notebook_imports(root: Path) -> None:
    explanation = "Because opencv-python was not found in the package registry and you require opencv-python"
    assert 'add `cv2 = "<distribution>"`' in reason(notebook(imports=["cv2.aruco"]), explanation, root)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["[stderr]", "Traceback", "KeyError: 'y'", "", "hint: add y"], "KeyError: 'y'"),
        (["../meson.build:1:0: ERROR: no compiler", "Log in x"], "../meson.build:1:0: ERROR: no compiler"),
        (["c.c:1:9: error: no", "c.c:2:1: error: more", "CompileError: failed"], "c.c:1:9: error: no"),
        (
            ["error in x setup command: no requirement", "yapf >= '0.28'", "^"],
            "error in x setup command: no requirement",
        ),
        (["some words", "the last", "~~^"], "the last"),
        ([], ""),
    ],
    ids=["exception", "meson", "compiler", "old setup", "words", "nothing"],
)
def test_a_failed_build_is_told_by_the_line_that_says_most(words: list[str], line: str) -> None:
    assert build_failure("\n".join(["Failed to build `x`", *words])) == line


def test_what_is_no_failed_build_has_no_such_line() -> None:
    assert build_failure("Because a and b,\nwe conclude.") == ""
