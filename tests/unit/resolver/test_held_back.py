"""When notebooks share an environment, a bound that gives others older versions is told, with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from fakes import FakeOracle

from envsolver.core.environments import Interpreter, Package
from envsolver.core.notebooks import Origin, Requirement
from envsolver.resolver.demands import NotebookRequirements
from envsolver.resolver.derive import derive
from envsolver.resolver.oracle import Finding

PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")
NEWEST = {"numpy": "2.4.0", "pandas": "3.0.0", "six": "1.17.0", "idna": "3.20"}


def registry(items: frozenset[str]) -> Finding:
    """Answer for a registry where `numpy<2` also means an older pandas, and `==` means what it says."""
    versions = dict(NEWEST)
    for item in items:
        name, _, pinned = item.partition("==")
        if pinned:
            versions[name] = pinned
    if "numpy<2" in items:
        versions |= {"numpy": "1.26.4", "pandas": "2.3.3"}
    return Finding(solved=True, packages=tuple(Package(name=n, version=v) for n, v in versions.items()))


def demand(path: str, *texts: str) -> NotebookRequirements:
    origin = Origin(path=path, cell=1, line=1)
    return NotebookRequirements(
        notebook=path, requirements=tuple(Requirement(text=text, origin=origin) for text in sorted(texts))
    )


def holds(demands: Mapping[str, tuple[str, ...]], oracle: FakeOracle | None = None) -> list[str]:
    derived = derive(
        [demand(path, *texts) for path, texts in demands.items()],
        interpreter=PYTHON,
        oracle=oracle or FakeOracle(registry),
        root=Path(),
    )
    return [hold.sentence for held in derived.holds.values() for hold in held]


def test_a_bound_that_gives_others_older_versions_is_told_with_its_place() -> None:
    (said,) = holds({"a.ipynb": ("numpy<2",), "b.ipynb": ("numpy",), "c.ipynb": ("pandas",), "d.ipynb": ("six",)})
    assert said == (
        "numpy<2 (a.ipynb, cell 1, line 1) holds back numpy (1.26.4 instead of 2.4.0) and "
        "pandas (2.3.3 instead of 3.0.0) for 2 other notebooks"
    )


@pytest.mark.parametrize(
    "demands",
    [
        {"a.ipynb": ("numpy<2",)},
        {"a.ipynb": ("numpy<2",), "b.ipynb": ("numpy<2", "six")},
        {"a.ipynb": ("numpy<2",), "b.ipynb": ("six",)},
        {"a.ipynb": ("numpy<9",), "b.ipynb": ("numpy",)},
        {"a.ipynb": ("numpy>=1",), "b.ipynb": ("numpy",)},
    ],
    ids=["alone", "all want it", "nobody else has it", "it lowers nothing", "a lower bound"],
)
def test_a_bound_that_touches_nobody_else_is_not_worth_a_line(demands: dict[str, tuple[str, ...]]) -> None:
    assert holds(demands) == []


def test_a_notebook_that_imports_the_project_may_depend_on_what_is_held_back() -> None:
    (said,) = holds({"a.ipynb": ("numpy<2",), "b.ipynb": ("-e .",)})
    assert said.endswith("for 1 other notebook")


def test_without_bounds_nothing_more_is_asked() -> None:
    oracle = FakeOracle(registry)
    assert holds({"a.ipynb": ("numpy",), "b.ipynb": ("numpy", "six")}, oracle) == []
    assert oracle.asked == [frozenset({"numpy", "six"})]


def test_many_pins_of_one_notebook_are_one_line() -> None:
    pins = tuple(f"{name}==0.1" for name in ("a", "b", "c", "d", "e", "idna", "six"))
    oracle = FakeOracle(registry)
    (said,) = holds({"a.ipynb": pins, "b.ipynb": ("idna", "six")}, oracle)
    assert said.endswith(
        "c==0.1 (a.ipynb, cell 1, line 1) and 4 more hold back idna (0.1 instead of 3.20) and "
        "six (0.1 instead of 1.17.0) for 1 other notebook"
    )
    assert len(oracle.asked) <= 3
