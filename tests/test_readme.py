"""Promise: what the README says about the configuration is what the program reads."""

from __future__ import annotations

import re

import pytest
from readme_table import BEGIN, END, README, table, with_table
from workflow_schemas import ACTION, GITLAB, ROOT, WORKFLOW, examples, schema_of

from envsolver.config.schema import ReferenceRow, reference_rows


def test_the_readme_has_every_key_of_the_configuration_as_it_is_today() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run `nox -s readme`, which writes the table anew"


def test_every_key_says_what_it_is_for() -> None:
    assert [row.key for row in reference_rows() if not row.description] == []


def test_a_table_keeps_its_cells_apart() -> None:
    row = ReferenceRow(key="a|b", type="text", default="x", description="this | that")
    assert table((row,)).splitlines()[-1] == "| `a\\|b` | text | `x` | this \\| that |"


def test_what_stands_around_the_table_is_kept() -> None:
    text = with_table(f"before\n{BEGIN}\nof yesterday\n{END}\nafter\n")
    assert text.startswith(f"before\n{BEGIN}\n\n| key |")
    assert text.endswith(f"|\n\n{END}\nafter\n")
    assert "of yesterday" not in text
    assert with_table(text) == text


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, f"{BEGIN}{END}{BEGIN}{END}"])
def test_missing_marks_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        with_table(text)


def test_the_readme_shows_a_workflow_for_each_system() -> None:
    assert [schema_of(text) for text in examples(README.read_text(encoding="utf-8"))] == [ACTION, WORKFLOW, GITLAB]


def test_actions_are_pinned_and_jobs_may_do_no_more_than_they_need() -> None:
    workflows = [path.read_text(encoding="utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))]
    shown = examples(README.read_text(encoding="utf-8"))
    for text in [*workflows, *shown]:
        for action in re.findall(r"uses: (\S+.*)", text):
            assert re.fullmatch(r"\./\S+|[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", action)
    for text in [*workflows, *(text for text in shown if schema_of(text) == WORKFLOW)]:
        assert "\npermissions: {}\n" in text
        assert set(re.findall(r"^      ([\w-]+: (?:read|write))$", text, re.MULTILINE)) == {"contents: read"}
