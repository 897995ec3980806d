"""Take a group's versions from the project's own `uv.lock`, by uv itself."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from envsolver.core.environments import DependencySets, Group, Interpreter, Lock
from envsolver.core.errors import BuildError, ConfigurationError
from envsolver.core.notebooks import Origin, Requirement
from envsolver.core.parsing import ODD_INPUT, parse_toml, phrase_of, read_text
from envsolver.environments.uv import COLOURLESS, QUIET, Uv
from envsolver.resolver.dependency_sets import UV_LOCK, lock_file
from envsolver.resolver.groups import derive_group
from envsolver.resolver.lockfiles import select
from envsolver.resolver.locks import KERNEL, lock_of, read_packages, solve_group
from envsolver.resolver.project_metadata import stated_metadata
from envsolver.resolver.solve_options import SolveOptions

PYPI = "https://pypi.org/simple"
_STALE = "needs to be updated"


def check_fresh(uv: Uv, python: str) -> None:
    """Check that the project's lock is what uv would write now; nothing is written.

    What the lock took from PyPI counts as fresh, whatever index this machine is told to use. Without a network it is
    still checked, unless only a build shows what the project depends on: then it is used as it is.

    Raises
    ------
    ConfigurationError
        There is no lock, or it is stale.
    """
    path = lock_file(uv.root)
    if path is None:
        raise ConfigurationError([f"there is no {UV_LOCK} beside pyproject.toml"], tip="Write it: `uv lock`.")
    command = ["lock", "--check", *COLOURLESS, "--no-python-downloads", "--python", python]
    command += ["--default-index", PYPI] if PYPI in _registries(path) else []
    if uv.run([*command, "--offline"]).code == 0:
        return
    answer = uv.run(command)
    unknown = answer.code != 0 and (answer.no_network or answer.needs_build) and stated_metadata(uv.root) is None
    if answer.code != 0 and not unknown:
        why = "" if _STALE in answer.err or answer.no_network else f": {answer.explanation}"
        raise ConfigurationError(
            [f"{UV_LOCK} is stale: what it is made from has changed since{why}"], tip=_refreshing(uv.root)
        )


def _refreshing(root: Path) -> str:
    """Return how to bring the lock up to date, for good."""
    said = stated_metadata(root)
    if said is None or said.requires_python:
        return "Refresh it with `uv lock`, and commit it."
    return (
        "Set `requires-python` in [project] of pyproject.toml: without it, a lock fits the Python alone that uv found"
        " when it wrote it. Then run `uv lock`, and commit it."
    )


def read_uv_lock(
    group: Group, sets: DependencySets, interpreter: Interpreter, *, uv: Uv, cache: Path | None, terms: SolveOptions
) -> Lock:
    """Return what the project's lock holds of some sets for an interpreter, with a kernel that fits it.

    Raises
    ------
    BuildError
        uv gives nothing for these sets, as where they are declared as conflicting.
    UnsolvableError
        No kernel fits.
    """
    answer = uv.run(
        [
            *("export", "--frozen", "--format", "requirements.txt", "--no-header", "--no-annotate", *QUIET),
            *("--no-default-groups", "--no-python-downloads", "--python", interpreter.executable),
            *(argument for name in sets.groups for argument in ("--group", name)),
            *(argument for name in sets.extras for argument in ("--extra", name)),
            *(["--all-packages"] if sets.members else []),
        ]
    )
    path = lock_file(uv.root)
    if answer.code != 0 or path is None:
        said = answer.explanation or f"there is no {UV_LOCK}"
        raise BuildError(f"group {group.name}: {UV_LOCK} does not give its versions: {said}")
    text = select(answer.out, interpreter)
    held = read_packages(text)
    if not any(package.name == KERNEL for package in held):
        text += _kernel(group, text, interpreter, uv=uv, cache=cache, terms=terms)
    # Hashes say what may be installed, so it is safe to look in every index that the lock names.
    others = [f"--extra-index-url {url}\n" for url in _registries(path) if url != PYPI]
    return lock_of(group, interpreter, "".join(others) + text, path.parent)


def _kernel(
    group: Group, text: str, interpreter: Interpreter, *, uv: Uv, cache: Path | None, terms: SolveOptions
) -> str:
    """Return the lines of a lock for the kernel, and what it needs, that `text` lacks."""
    held = read_packages(text)
    origin = Origin(path=UV_LOCK)
    pins = [f"{p.name}=={p.version}" for p in held if "/" not in p.version and not p.version.startswith(".")]
    asked = derive_group(
        group.name,
        [Requirement(text=KERNEL, origin=origin)],
        root=uv.root,
        constraints=[Requirement(text=pin, origin=origin) for pin in pins],
    )
    solved = solve_group(asked, interpreter, uv=uv, cache=cache, terms=terms)
    names = {package.name for package in held}
    lines, keep = [], False
    for line in solved.text.splitlines():
        if not line.startswith((" ", "\t")):
            keep = canonicalize_name(line.partition("==")[0].partition("[")[0].strip()) not in names
        lines += [f"{line}\n"] if keep else []
    return "".join(lines)


def _registries(path: Path) -> tuple[str, ...]:
    """Return the indexes that a lock of uv names, each once; folders are found again by uv's own settings."""
    try:
        packages = parse_toml(read_text(path)).get("package", [])
        found = [package["source"].get("registry", "") for package in packages]
    except (*ODD_INPUT, KeyError, AttributeError, TypeError) as error:
        raise ConfigurationError([f"{path.name}: is no lock that can be read: {phrase_of(error)}"]) from error
    return tuple(dict.fromkeys(url for url in found if urlsplit(url).scheme in {"http", "https"}))
