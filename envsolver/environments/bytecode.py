"""Write an environment's bytecode: linked from environments that hold the same files, the rest compiled.

Compiling is most of the work of building an environment whose packages are in uv's cache. uv links files of one
package into every environment that holds it, so the bytecode of such a file serves all of them: the interpreter checks
it against the source's time and size, which are the same file's, and puts its own path in while it loads it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from envsolver.environments.in_environment import COMPILE_BYTECODE

_DONORS = 4
"""How many other environments are looked through."""


def site_packages(prefix: Path) -> Path | None:
    """Return a virtualenv's directory of packages, or None when it has none."""
    return next((prefix / "lib").glob("python*/site-packages"), None)


def link_bytecode(prefix: Path, others: Sequence[Path]) -> int:
    """Link the bytecode of those sources that are one file with another environment's; return how many there are.

    Parameters
    ----------
    prefix
        A virtualenv whose packages are installed.
    others
        Virtualenvs of the same interpreter, with their bytecode.
    """
    own = site_packages(prefix)
    linked = 0
    with contextlib.suppress(OSError):  # an environment is removed at this moment
        if own is None:
            return 0
        for donor in _best(own, [found for found in map(site_packages, others) if found is not None]):
            linked += sum(_link(file, own / file.relative_to(donor)) for file in _bytecode(donor))
    return linked


def compiling(prefix: Path) -> list[str]:
    """Return the arguments for the virtualenv's interpreter that compile what has no bytecode yet."""
    # Isolated, and without the environment's own start-up files, which may run anything.
    return ["-I", "-S", str(COMPILE_BYTECODE), str(site_packages(prefix))]


def _best(own: Path, donors: Sequence[Path]) -> Iterator[Path]:
    """Choose donors, each time the one with most of the distributions that are still missing."""
    missing = _distributions(own)
    offers = {donor: _distributions(donor) for donor in donors}
    for _ in range(min(_DONORS, len(donors))):
        best = max(offers, key=lambda donor: len(offers[donor] & missing))
        if not offers[best] & missing:
            return
        missing -= offers.pop(best)
        yield best


def _distributions(site: Path) -> set[str]:
    return {path.name for path in site.glob("*.dist-info")}


def _bytecode(site: Path) -> Iterator[Path]:
    for directory, _, files in os.walk(site):
        if directory.endswith("__pycache__"):
            yield from (Path(directory) / file for file in files if file.endswith(".pyc"))


def _link(file: Path, wanted: Path) -> bool:
    """Link bytecode to where it is wanted, if it is of a source that both environments share."""
    name = f"{file.name.rsplit('.', 2)[0]}.py"
    source, other = wanted.parent.parent / name, file.parent.parent / name
    with contextlib.suppress(OSError):  # not there, there already, or on another file system
        if source.samefile(other):
            wanted.parent.mkdir(exist_ok=True)
            os.link(file, wanted)
            return True
    return False
