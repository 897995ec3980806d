# /// script
# requires-python = ">=3.10"
# dependencies = ["nox[uv]>=2025.5.1"]
# ///
"""Sessions of the project: `nox -s booktests` is the main job, `nox -s tests` runs the tests."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typing", "tests", "booktests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS: list[str] = PROJECT["tool"]["envsolver"]["python"]

# Half of the time a test waits for a run or a kernel. Those that share what is dear to set up are marked with an
# `xdist_group`, and stay together.
SIDE_BY_SIDE = ("-n", str(min(2 * (os.cpu_count() or 1), 16)), "--dist", "loadgroup")

# Nox gives an interrupted command 0.3 s by default; a run needs longer to write down what it has.
INTERRUPT_SECONDS = 10.0

SLURM = "tests/integration/slurm"
CLOUDS = ("tests/integration/kubernetes", "tests/integration/clouds")
PAGES = "tests/integration/pages"
APART = tuple(f"--ignore={folder}" for folder in (SLURM, *CLOUDS, PAGES))
"""Tests of clusters, and of the documentation, have sessions of their own."""


def install(session: nox.Session, *groups: str) -> None:
    """Install the project, editable, with dependency groups; at once when nothing changed since."""
    wanted = ["-e", ".", *nox.project.dependency_groups(PROJECT, *groups)]
    version = Path("envsolver/__init__.py").read_bytes()
    digest = hashlib.sha256(Path("pyproject.toml").read_bytes() + version + repr(wanted).encode()).hexdigest()
    stamp = Path(session.virtualenv.location) / "envsolver-installed"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    stamp.unlink(missing_ok=True)
    # Compiled now, since no later start may have the right to write bytecode.
    session.install("--compile-bytecode", *wanted)
    session.run("python", "-m", "compileall", "-q", "envsolver", silent=True)
    stamp.write_text(digest)


def envsolver(session: nox.Session, *arguments: str) -> None:
    """Run the project's own command."""
    install(session)
    session.run("envsolver", *arguments, interrupt_timeout=INTERRUPT_SECONDS, terminate_timeout=INTERRUPT_SECONDS)


@nox.session
def booktests(session: nox.Session) -> None:
    """Run the notebooks as tests; arguments go to `envsolver run`."""
    envsolver(session, "run", *session.posargs)


def booktests_on(python: str) -> None:
    """Define the session that runs the notebooks on one Python version, whatever nox itself runs on."""

    @nox.session(name=f"booktests-{python}", default=False)
    def booktests_python(session: nox.Session) -> None:
        envsolver(session, "run", "--python", python, *session.posargs)

    booktests_python.__doc__ = f"Run the notebooks as tests on Python {python}."


for _python in PYTHONS:
    booktests_on(_python)


@nox.session(default=False)
def diff(session: nox.Session) -> None:
    """Say what became different between two runs; arguments go to `envsolver diff`."""
    envsolver(session, "diff", *session.posargs)


@nox.session(default=False)
def generate_booktests(session: nox.Session) -> None:
    """Write test files for notebooks that have none; arguments go to `envsolver generate`."""
    envsolver(session, "generate", *session.posargs)


@nox.session(default=False)
def check_booktests(session: nox.Session) -> None:
    """Check that every notebook has a test file that runs it."""
    envsolver(session, "check", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests but those of clusters and pages, side by side; arguments go to pytest."""
    install(session, "test")
    session.run("pytest", *SIDE_BY_SIDE, *APART, *session.posargs, interrupt_timeout=INTERRUPT_SECONDS)


@nox.session(default=False)
def pages(session: nox.Session) -> None:
    """Run all commands that the documentation shows, and compare what they print. Arguments go to pytest."""
    install(session, "test")
    session.run("pytest", *SIDE_BY_SIDE, PAGES, *session.posargs, interrupt_timeout=INTERRUPT_SECONDS)


@nox.session(default=False)
def slurm(session: nox.Session) -> None:
    """Run the tests on a real Slurm, which they start; they wait most of the time. Arguments go to pytest."""
    install(session, "test")
    session.run("pytest", "-n", "4", SLURM, *session.posargs, interrupt_timeout=INTERRUPT_SECONDS)


@nox.session(default=False)
def clouds(session: nox.Session) -> None:
    """Run the tests on what stands in for Kubernetes and for Amazon's cloud here. Arguments go to pytest."""
    install(session, "clouds")
    session.run("pytest", "-n", "3", *CLOUDS, *session.posargs, interrupt_timeout=INTERRUPT_SECONDS)


@nox.session(default=False)
def unit(session: nox.Session) -> None:
    """Run the tests that need no real uv, Parsl or kernel; arguments go to pytest."""
    install(session, "test")
    session.run("pytest", *SIDE_BY_SIDE, "-m", "not integration", *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Run all tests and report the branches covered, in processes that tests start too; arguments go to pytest."""
    install(session, "coverage")
    if not session.posargs:  # a second run, of what failed, adds to the first
        session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *SIDE_BY_SIDE, *APART, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Read 2,000 made-up odd files; arguments go to the fuzzer (try `--help`)."""
    install(session, "test")
    session.run("python", "tests/tools/fuzz.py", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(default=False)
def changes(session: nox.Session) -> None:
    """Change 20 made-up projects 1,000 times, and compare what would run with what must; arguments go to pytest."""
    install(session, "test")
    many = {"ENVSOLVER_TEST_PROJECTS": "20", "ENVSOLVER_TEST_CHANGES": "1000"}
    session.run("pytest", "-s", "tests/integration/test_made_up_projects.py", *session.posargs, env=many)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Run one group's demos and build the site with them, warnings as errors; on GitHub, follow links out as well."""
    install(session, "docs")
    session.run("envsolver", "run", "--group", "core", *session.posargs, interrupt_timeout=INTERRUPT_SECONDS)
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-E", "-a", "-b", "html", "docs", "docs/_build/html")
    if "GITHUB_ACTIONS" in os.environ:
        session.run("sphinx-build", "-q", "-b", "linkcheck", "docs", "docs/_build/linkcheck")


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Build wheel and sdist into dist, and try both without the checkout; an argument is the tag that they must fit."""
    session.install("uv>=0.9", "twine>=6")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("uv", "build", "--quiet")
    wheel, sdist = next(Path("dist").glob("*.whl")).resolve(), next(Path("dist").glob("*.tar.gz")).resolve()
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    for tag in session.posargs:
        check_tag(session, tag.removeprefix("v"), sdist)
    folder = Path(session.create_tmp()).resolve()
    session.env.pop("TMPDIR", None)  # tests that look for a project above their own folder would find this checkout
    shutil.rmtree(folder)
    try_wheel(session, wheel, folder / "wheel")
    try_sdist(session, sdist, folder / "sdist")


def check_tag(session: nox.Session, version: str, sdist: Path) -> None:
    """End the session unless a version is what was built, and has its date in the changelog."""
    dated = re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", Path("CHANGELOG.md").read_text(), re.MULTILINE
    )
    if sdist.name != f"envsolver-{version}.tar.gz":
        session.error(f"the tag says {version}, and {sdist.name} was built")
    if not dated:
        session.error(f"CHANGELOG.md has no section `## {version} (YYYY-MM-DD)`")


def try_wheel(session: nox.Session, wheel: Path, folder: Path) -> None:
    """Install the wheel into an environment that holds nothing else, and run a notebook with it."""
    folder.mkdir(parents=True)
    (folder / "envsolver.toml").write_text('notebooks = ["one.ipynb"]\n')  # else the checkout around it is the project
    (folder / "one.ipynb").write_text(
        '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, '
        '"outputs": [], "execution_count": null, "source": "assert 1 + 1 == 2"}]}'
    )
    session.run("uv", "venv", "--quiet", str(folder / "env"))
    session.run("uv", "pip", "install", "--quiet", "--python", str(folder / "env"), str(wheel))
    run = [str(folder / "env/bin/envsolver"), "-C", str(folder), "run"]
    session.run(*run, env={"ENVSOLVER_CACHE_DIR": str(folder / "cache")}, external=True)


def try_sdist(session: nox.Session, sdist: Path, folder: Path) -> None:
    """Unpack the sdist, and run the tests in it that need no real uv, Parsl or kernel."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    session.run("uv", "venv", "--quiet", str(folder / "env"))
    wanted = nox.project.dependency_groups(PROJECT, "test")
    session.run("uv", "pip", "install", "--quiet", "--python", str(folder / "env"), "-e", str(root), *wanted)
    with session.chdir(root):
        session.run(str(folder / "env/bin/pytest"), *SIDE_BY_SIDE, "-q", "-m", "not integration", external=True)


@nox.session(default=False)
def benchmark(session: nox.Session) -> None:
    """Time envsolver against other ways to run notebooks; arguments go to the benchmark (try `--help`)."""
    install(session)
    session.run("python", "tests/benchmark/benchmark.py", *session.posargs, interrupt_timeout=INTERRUPT_SECONDS)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting, and that the workflows, the documentation's too, are what GitHub and GitLab read."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "tests/tools/workflow_schemas.py", session.create_tmp())


@nox.session
def typing(session: nox.Session) -> None:
    """Check types, strictly, tests included."""
    install(session, "typing")
    session.run("mypy")


if __name__ == "__main__":
    nox.main()
