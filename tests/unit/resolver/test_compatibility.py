"""The report of `envsolver solve`: each group on each Python, each pair, as tables and as plain data."""

from __future__ import annotations

import json
from pathlib import Path

from fakes import FakeUv

from envsolver.core.environments import Group, Interpreter
from envsolver.core.settings import Config, GroupSettings
from envsolver.resolver.compatibility import GroupExamination, SolveReport, group_rows, pair_rows, to_json
from envsolver.resolver.groups import read_group
from envsolver.resolver.solve_options import SolveOptions

PYTHONS = tuple(
    Interpreter(request=minor, executable=f"/bin/python{minor}", version=f"{minor}.1", platform="cpython-linux-x86_64")
    for minor in ("3.11", "3.12")
)
FILES = {
    "core": "numpy>=2\nscipy\n",
    "paper": "numpy<2\n",
    "ml": "torch\n",
    "broken": "six\nlost==99\n",
    "new": "six\n",
    "crash": "crash\n",
}


def groups(root: Path, *names: str) -> list[Group]:
    (root / "requirements").mkdir(exist_ok=True)
    for name in names:
        (root / "requirements" / f"{name}.in").write_text(FILES[name], encoding="utf-8")
    config = Config(root=root, groups={"new": GroupSettings(requires_python=">=3.12")})
    return [read_group(config, name) for name in names]


def examine(root: Path, *names: str, cache: Path | None = None) -> SolveReport:
    examiner = GroupExamination(
        root=root,
        uv=FakeUv(root),
        cache=cache,
        terms=SolveOptions(),
        sizes=lambda lock: {package.name: 1_500_000 for package in lock.packages},
    )
    return examiner.examine(groups(root, *names), PYTHONS)


def test_each_group_is_told_for_each_python(tmp_path: Path) -> None:
    report = examine(tmp_path, "core", "broken", "new", "crash")
    assert group_rows(report) == (
        ("core", "3.11", "3 packages"),
        ("core", "3.12", "3 packages"),
        ("broken", "3.11", "no solution: lost==99 (requirements/broken.in:2) does not exist"),
        ("broken", "3.12", "no solution: lost==99 (requirements/broken.in:2) does not exist"),
        ("new", "3.11", "skipped: group new needs Python >=3.12, and this is Python 3.11.1"),
        ("new", "3.12", "2 packages"),
        ("crash", "3.11", "not solved: Failed to build `crash`"),
        ("crash", "3.12", "not solved: Failed to build `crash`"),
    )
    assert not report.good


def test_each_pair_that_has_a_common_python_is_compared(tmp_path: Path) -> None:
    report = examine(tmp_path, "core", "paper", "ml", "broken")
    assert pair_rows(report) == (
        (
            "core + paper",
            "apart: requirements/core.in:1 asks for numpy>=2; requirements/paper.in:1 asks for numpy<2",
        ),
        ("core + ml", "could share one environment, which saves 1 package, 1 MiB"),
        ("ml + paper", "could share one environment, which saves 1 package, 1 MiB"),
    )


def test_groups_that_all_solve_are_good_even_when_a_python_is_not_supported(tmp_path: Path) -> None:
    assert examine(tmp_path, "core", "paper", "new").good


def test_a_second_report_asks_nothing(tmp_path: Path) -> None:
    first = examine(tmp_path, "core", "paper", "ml", "broken", cache=tmp_path / "cache")
    second = examine(tmp_path, "core", "paper", "ml", "broken", cache=tmp_path / "cache")
    assert first.calls > 0
    assert second.calls == 0
    assert (second.groups, second.pairs) == (first.groups, first.pairs)


def test_plain_data_holds_the_lines_that_meet(tmp_path: Path) -> None:
    data = json.loads(json.dumps(to_json(examine(tmp_path, "core", "paper"))))
    assert data["schema"] == 1
    assert data["groups"][0] == {
        "group": "core",
        "python": "3.11",
        "solved": True,
        "skipped": False,
        "packages": 3,
        "message": "",
        "conflict": None,
    }
    (pair,) = data["pairs"]
    assert (pair["groups"], pair["shareable"], pair["packages_saved"]) == (["core", "paper"], False, None)
    assert [(r["text"], r["path"], r["line"]) for r in pair["conflict"]["requirements"]] == [
        ("numpy>=2", "requirements/core.in", 1),
        ("numpy<2", "requirements/paper.in", 1),
    ]
