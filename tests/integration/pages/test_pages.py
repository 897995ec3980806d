"""Promise: who types what a page shows sees what it shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import envsolver, write_notebook
from shown_pages import PAGES, ROOT, File, Step, blocks, missing, name_of, parts, plain, play, write

from envsolver import __version__

pytestmark = pytest.mark.integration

NEEDS_LINUX = {"docs/verdicts/lost.md"}
"""Pages whose example reads what Linux alone has."""

LIMIT = 280
"""Seconds that all commands of one page may take."""

ELSEWHERE = {
    "docs/tutorial.md": "test_tutorial.py runs it",
    ".github/CONTRIBUTING.md": "its commands are nox's sessions, which CI runs",
}
"""Pages whose commands are run by something else, and by what."""

UNREACHABLE = ("pypi.anaconda.org",)
"""What a command names that tests must not depend on; the command line is read by test_docs.py all the same."""

GIT = shutil.which("git") or "git"
QUICKSTART = ("n = 2**16", "estimate = 1.8")


def nothing(root: Path) -> None:
    """Write nothing: the page names all files of its project."""


def demos(root: Path) -> None:
    """Write a project such as this repository: groups, notebooks below demos, a history in git."""
    (root / "tests").mkdir()
    for name in ("core", "ml"):
        (root / f"requirements/{name}.in").parent.mkdir(exist_ok=True)
        (root / f"requirements/{name}.in").write_text("# only the kernel\n", encoding="utf-8")
    (root / "envsolver.toml").write_text(
        'notebooks = ["demos/**/*.ipynb"]\n[groups.ml]\nnotebooks = ["demos/ml/**"]\n[strategies.full]\n', "utf-8"
    )
    for name, cells in {"core/quickstart": QUICKSTART, "core/greeks": ("1",), "ml/train": ("1",)}.items():
        write_notebook(root, f"demos/{name}.ipynb", *cells)


def with_git(root: Path) -> None:
    """Make the project a clone, whose origin has it as it is."""
    demos(root)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    commit = [*identity, "commit", "--quiet", "-m", "All"]
    for words in (["init", "--quiet"], ["add", "."], commit, ["update-ref", "refs/remotes/origin/main", "HEAD"]):
        subprocess.run([GIT, *words], cwd=root, check=True, timeout=60)


def unconfigured(root: Path) -> None:
    """Write a repository that never heard of envsolver."""
    write_notebook(root, "docs/a.ipynb", "import idna")


def with_data(root: Path) -> None:
    """Put what a page downloads beside the project."""
    (root.parent / "prices.csv").write_text("tea,2\n", encoding="utf-8")


def with_a_bound(root: Path) -> None:
    """Write notebooks of which one has an upper bound for what all import."""
    for name in "abc":
        write_notebook(root, f"docs/{name}.ipynb", "%pip install 'networkx<3'\n" * (name == "a") + "import networkx")


def with_a_failure(root: Path) -> None:
    """Write two notebooks, of which one fails."""
    write_notebook(root, "demos/core/quickstart.ipynb", "1")
    write_notebook(root, "demos/core/limits.ipynb", "1 / 0")


def with_a_parameter(root: Path) -> None:
    """Write a notebook that passes where a parameter is set alone, and can be run by papermill."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = write_notebook(root, "report.ipynb", "alpha = 1", "assert alpha == 0.1", kernelspec=kernel)
    data = json.loads(path.read_text(encoding="utf-8"))
    data["cells"][0]["metadata"]["tags"] = ["parameters"]
    path.write_text(json.dumps(data), encoding="utf-8")


def with_an_old_lock(root: Path) -> None:
    """Write a project whose lock is older than what breaks its notebook."""
    demos(root)
    shutil.rmtree(root / "demos")
    write_notebook(root, "demos/graph.ipynb", "import networkx", "networkx.info")
    lock, texts = root / "requirements/core.txt", []
    for bound in ("networkx<3\n", "networkx\n"):
        (root / "requirements/core.in").write_text(bound, encoding="utf-8")
        done = envsolver(root, "lock", "--group", "core")
        assert done.returncode == 0, done.stderr
        texts.append(lock.read_text(encoding="utf-8").splitlines())
    (old, new) = texts
    lock.write_text("\n".join((*new[:2], *old[2:])) + "\n", encoding="utf-8")  # the first two say from what it was made


def with_a_package(root: Path) -> None:
    """Write a package of the project, in either of the usual places, that notebooks import."""
    demos(root)
    for place in ("mypackage", "src/mypackage"):
        (root / place).mkdir(parents=True)
        (root / place / "__init__.py").write_text("x = 1\n", encoding="utf-8")
    write_notebook(root, "demos/core/greeks.ipynb", "import sys; sys.path.insert(0, '../..')", "import mypackage")


def this_project(root: Path) -> None:
    """Copy this repository's own groups and demos."""
    shutil.copyfile(ROOT / "pyproject.toml", root / "pyproject.toml")
    for name in ("demos", "requirements"):
        shutil.copytree(ROOT / name, root / name)


SETUPS: dict[str, Callable[[Path], None]] = {
    "README.md": unconfigured,
    "docs/explanation/conflicts.md": this_project,
    "docs/how-to/any-repository.md": with_a_bound,
    "docs/how-to/choose-notebooks.md": with_git,
    "docs/how-to/coverage.md": with_a_package,
    "docs/how-to/data-in-ci.md": with_data,
    "docs/how-to/from-papermill.md": with_a_parameter,
    "docs/how-to/pytest.md": with_a_failure,
    "docs/how-to/test-files.md": demos,
    "docs/job-arrays.md": demos,
    "docs/tomorrows-versions.md": with_an_old_lock,
}
"""What stands in a page's project beside the files that the page names; `demos` where it names none."""

BEFORE = {"docs/how-to/slow-notebooks.md": [Step(command="envsolver run")]}
"""Commands that a page takes for granted."""


def steps_of(page: Path) -> list[Step]:
    """Return all commands that a page shows."""
    return [part for part in parts(page) if isinstance(part, Step)]


def commands_of(page: Path) -> list[Step]:
    """Return the commands of a page that are run here."""
    if name_of(page) in ELSEWHERE:
        return []
    return [step for step in steps_of(page) if not any(name in step.command for name in UNREACHABLE)]


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=name_of)
def test_what_a_page_shows_happens(page: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if name_of(page) in NEEDS_LINUX and not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    root = tmp_path / "path/to/your-repository"
    root.mkdir(parents=True)
    (tmp_path / "path/to/envsolver").symlink_to(ROOT)
    files = [part for part in parts(page) if isinstance(part, File)]
    setup = SETUPS.get(name_of(page), nothing if files else demos)
    setup(root)
    for file in files:
        write(root, file)
    steps = [*BEFORE.get(name_of(page), ()), *commands_of(page)]
    within = [step.command for step in steps if step.command.startswith("cd ")]
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {
        **outer,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "TEA_ADDRESS": root.parent.as_uri(),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "ENVSOLVER_CACHE_DIR": str(tmp_path_factory.getbasetemp() / "pages-cache"),
    }
    for step, (code, output) in zip(steps, play(steps, tmp_path if within else root, environment, LIMIT), strict=True):
        assert code == step.code, f"{step.command}\n{output}"
        assert missing(step.shown, output) == [], f"{step.command}\n{output}"


def shape(line: str) -> str:
    """Return a line of a run with all its names and numbers alike."""
    line = re.sub(r", \d+\.\d times that", "", line)
    line = re.sub(r"\S+\.ipynb", "NOTEBOOK", plain(line))
    line = re.sub(r"\d+", "N", re.sub(r"\b(?:core|ml|paper|umbridge|no group)\b", "GROUP", line))
    return re.sub(r"GROUP N(?:, GROUP N)*", "GROUPS", line)


def test_every_line_of_the_readmes_picture_is_of_a_form_that_a_run_prints(tmp_path: Path) -> None:
    (picture,) = blocks(ROOT / "README.md", "text")
    demos(tmp_path)
    skip = '[notebook."demos/ml/train.ipynb"]\nskip = "needs a CUDA device"\n'
    with (tmp_path / "envsolver.toml").open("a", encoding="utf-8") as file:
        file.write(skip)
    for number in range(5):
        write_notebook(tmp_path, f"demos/core/demo_{number}.ipynb", "1")
    done = envsolver(tmp_path, "run")
    assert done.returncode == 0, done.stderr
    printed = {shape(line) for line in (done.stdout + done.stderr).splitlines()}
    assert [line for line in picture.splitlines() if line != "..." and shape(line) not in printed] == [], done.stdout


def test_the_checkout_is_installed_as_the_pages_say(tmp_path: Path) -> None:
    lines = {step.command for page in PAGES for step in steps_of(page) if "pip install path/to" in step.command}
    (command,) = {line.partition(" #")[0].strip() for line in lines}
    (tmp_path / "path/to").mkdir(parents=True)
    (tmp_path / "path/to/envsolver").symlink_to(ROOT)
    subprocess.run([sys.executable, "-m", "venv", "env"], cwd=tmp_path, check=True, timeout=120)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what it needs is here already
    environment = {**os.environ, "PATH": os.pathsep.join([str(tmp_path / "env/bin"), os.environ["PATH"]])}
    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment, check=True, timeout=200)
    said = subprocess.run(
        ["/bin/sh", "-c", "which envsolver && envsolver --version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert str(tmp_path / "env/bin/envsolver") in said.stdout
    assert __version__ in said.stdout
