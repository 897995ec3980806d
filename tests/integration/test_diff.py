"""Promise: of two locks between which many packages differ, `diff` names first the one that broke each notebook."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import envsolver, write_notebook

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.xdist_group("diff")]

CONFIG = """notebooks = ["nb/*.ipynb"]
[groups.core]
notebooks = ["nb/*.ipynb"]
lock = false
"""


@dataclass(frozen=True, kw_only=True)
class Breakage:
    """A notebook that passes with the old versions of some packages and not with the new ones.

    Parameters
    ----------
    cells
        Its code.
    culprit
        The package that is to blame.
    packages
        The old and the new code of each package that it takes; the new one is None where it is not there any more.
    needs
        What packages depend on.
    """

    cells: tuple[str, ...]
    culprit: str
    packages: Mapping[str, tuple[str, str | None]]
    needs: Mapping[str, str] = field(default_factory=dict)


BREAKAGES = {
    "a function is renamed": Breakage(
        cells=("import mk_alpha", "table = mk_alpha.load()"),
        culprit="mk-alpha",
        packages={"mk_alpha": ("def load(): return 1", "def read(): return 1")},
    ),
    "a default is changed": Breakage(
        cells=(
            "import mk_beta as b, mk_beta_plot as plot",
            "ranks = b.order([3, 1, 2])\nplot.bars(ranks)",
            "first = ranks[0]\nassert first == 1",
        ),
        culprit="mk-beta",
        packages={
            "mk_beta": (
                "def order(values, descending=False): return sorted(values, reverse=descending)",
                "def order(values, descending=True): return sorted(values, reverse=descending)",
            ),
            "mk_beta_plot": ("def bars(values): pass", "def bars(values): return list(values)"),
        },
    ),
    "there is a new exception": Breakage(
        cells=("from mk_gamma import root\nroot(4.0)", "root(-1.0)"),
        culprit="mk-gamma",
        packages={
            "mk_gamma": (
                "def root(x): return x ** 0.5",
                "def root(x):\n    if x < 0:\n        raise ValueError('below zero')\n    return x ** 0.5",
            )
        },
    ),
    "a module is removed": Breakage(
        cells=("from mk_delta.tools import helper",),
        culprit="mk-delta",
        packages={
            "mk_delta": (
                "import sys, types\nsys.modules['mk_delta.tools'] = t = types.ModuleType('t')\nt.helper = 1",
                "x = 1",
            )
        },
    ),
    "a deprecation became an error": Breakage(
        cells=("import mk_epsilon", "mk_epsilon.fit([1, 2], normalize=True)"),
        culprit="mk-epsilon",
        packages={
            "mk_epsilon": (
                "import warnings\ndef fit(x, normalize=None):\n    warnings.warn('normalize goes', DeprecationWarning)",
                "def fit(x): pass",
            )
        },
    ),
    "a package that another one needs gives something else": Breakage(
        cells=("import mk_zeta", "mk_zeta.total([1, 2])"),
        culprit="mk-eta",
        packages={
            "mk_zeta": ("import mk_eta\ndef total(x):\n    return 0 + mk_eta.total(x)",) * 2,
            "mk_eta": ("def total(x): return sum(x)", "def total(x): return str(sum(x))"),
        },
        needs={"mk_zeta": "mk-eta"},
    ),
    "two are changed at once, and the object of one breaks in the other": Breakage(
        cells=("import mk_theta, mk_iota", "table = mk_theta.Table()", "mk_iota.show(table)"),
        culprit="mk-theta",
        packages={
            "mk_theta": ("class Table:\n    rows = (1,)", "class Table:\n    lines = (1,)"),
            "mk_iota": ("def show(table): return len(table.rows)", "def show(table): return 2 * len(table.rows)"),
        },
    ),
    "the traceback passes through a wrapper that is changed as well": Breakage(
        cells=("import mk_kappa, mk_wrap\nsolve = mk_wrap.timed(mk_kappa.solve)", "solve(3)"),
        culprit="mk-kappa",
        packages={
            "mk_kappa": ("def solve(n): return n", "def solve(n): return n / 0"),
            "mk_wrap": (
                "def timed(f):\n    def inner(*a):\n        return f(*a)\n    return inner",
                "def timed(f):\n    def inner(*a, **k):\n        return f(*a, **k)\n    return inner",
            ),
        },
    ),
    "a package calls the notebook's function with something else": Breakage(
        cells=("import mk_pi\ndef cost(x):\n    return x ** 2 - 1.5 * x", "mk_pi.minimise(cost)"),
        culprit="mk-pi",
        packages={"mk_pi": ("def minimise(f): return f(1.0)", "def minimise(f): return f([1.0])")},
    ),
    "a dependency is not brought any more": Breakage(
        cells=("import mk_rho", "import mk_sigma"),
        culprit="mk-sigma",
        packages={"mk_rho": ("x = 1", "x = 2"), "mk_sigma": ("x = 1", None)},
    ),
    "a package ends the kernel": Breakage(
        cells=("import mk_tau, mk_upsilon", "mk_upsilon.warm_up()", "mk_tau.compute()"),
        culprit="mk-tau",
        packages={
            "mk_tau": ("def compute(): return 1", "import ctypes\ndef compute(): ctypes.string_at(0)"),
            "mk_upsilon": ("def warm_up(): return 1", "def warm_up(): return 2"),
        },
    ),
    "a function takes no longer what another package gives it": Breakage(
        cells=("import mk_phi", "mk_phi.fit([1])"),
        culprit="mk-check",
        packages={
            "mk_phi": (
                "import mk_check\ndef fit(x): return mk_check.check_table(x, force=True)",
                "import mk_check\ndef fit(x): return list(mk_check.check_table(x, force=True))",
            ),
            "mk_check": ("def check_table(x, force=False): return x", "def check_table(x, strict=False): return x"),
        },
        needs={"mk_phi": "mk-check"},
    ),
    "the class of an argument is another one": Breakage(
        cells=("from mk_chi import Grid\nfrom mk_psi import mean", "grid = Grid(3)\nprint(mean(grid))"),
        culprit="mk-chi",
        packages={
            "mk_chi": (
                "class Grid:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return iter([self.n])",
                "class Grid:\n    def __init__(self, n): self.n = n",
            ),
            "mk_psi": ("def mean(x):\n    return sum(x) / 3", "def mean(x):\n    return sum(v for v in x) / 3.0"),
        },
    ),
}


def write_wheel(folder: Path, module: str, version: str, code: str, needs: str = "") -> None:
    information = f"{module}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": code + "\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: {version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{information}/RECORD"])
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        for name, text in {**files, f"{information}/RECORD": record}.items():
            archive.writestr(name, text)


def versions(breakage: Breakage) -> dict[str, tuple[str, str]]:
    """Return the old and the new version of each of its packages; the same where its code is."""
    return {
        module: ("1.0", "" if new is None else "1.0" if new == old else "1.1")
        for module, (old, new) in breakage.packages.items()
    }


@pytest.fixture(scope="module")
def difference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Return what `diff` says of each notebook that is newly broken between two locks."""
    root = tmp_path_factory.mktemp("diff")
    wheels = root / "wheels"
    (root / "requirements").mkdir()
    wheels.mkdir()
    (root / "envsolver.toml").write_text(CONFIG)
    pins: tuple[list[str], list[str]] = ([], [])
    for number, breakage in enumerate(BREAKAGES.values()):
        write_notebook(root, f"nb/{number:02}.ipynb", *breakage.cells)
        for module, found in versions(breakage).items():
            for version, code, lines in zip(found, breakage.packages[module], pins, strict=True):
                if code is not None:
                    write_wheel(wheels, module, version, code, breakage.needs.get(module, ""))
                    lines.append(f"{module.replace('_', '-')}=={version}")
    for name, lines in zip(("old", "new"), pins, strict=True):
        (root / "requirements/core.in").write_text("\n".join(["--find-links ../wheels", *lines]))
        done = envsolver(root, "run", "--run-dir", f".envsolver/runs/{name}")
        assert done.returncode == (name == "new"), done.stdout + done.stderr
    told = envsolver(root, "diff", "old", "new", "--json")
    assert told.returncode == 1, told.stderr
    return {each["notebook"]: each for each in json.loads(told.stdout)["broken"]}


@pytest.mark.parametrize("name", BREAKAGES)
def test_the_package_that_broke_it_is_named_first(name: str, difference: dict[str, dict[str, object]]) -> None:
    found = difference[f"nb/{list(BREAKAGES).index(name):02}.ipynb"]
    suspects = found["suspects"]
    assert isinstance(suspects, list)
    assert len(suspects) > 10  # all that differ, of all notebooks, since they share the environment
    ranks = [f"{each['change']['name']}: {each['why']}" for each in suspects]
    assert suspects[0]["change"]["name"] == BREAKAGES[name].culprit, (found["reason"], ranks[:4])
