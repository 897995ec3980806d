"""The report of `envsolver solve`: each group on each Python, each pair, as tables and as plain data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from envsolver.core.settings import Config
from envsolver.environments.interpreters import find_interpreter
from envsolver.environments.uv import Uv
from envsolver.resolver.compatibility import GroupExamination, pair_rows
from envsolver.resolver.groups import read_group
from envsolver.resolver.solve_options import SolveOptions

pytestmark = pytest.mark.integration


def test_real_groups_are_solved_and_compared(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for name, text in {"a": "-c limits.txt\nsix\nclick<8\n", "b": "flask==3.0.0\n", "limits": ""}.items():
        (tmp_path / "requirements" / f"{name}.in").write_text(text, encoding="utf-8")
    (tmp_path / "requirements" / "limits.txt").write_text("idna<4\n", encoding="utf-8")
    config = Config(root=tmp_path)
    uv = Uv(tmp_path)
    examiner = GroupExamination(root=tmp_path, uv=uv, cache=None, terms=SolveOptions(), sizes=lambda _: {})
    report = examiner.examine([read_group(config, name) for name in "ab"], [find_interpreter(uv, sys.executable)])
    assert report.good
    assert pair_rows(report) == (
        (
            "a + b",
            "apart: flask==3.0.0 (requirements/b.in:1) needs click>=8.1.3; requirements/a.in:3 asks for click<8",
        ),
    )
