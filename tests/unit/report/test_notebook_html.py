"""Executed notebooks as documents for a sandboxed frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import report_samples

from envsolver.report import notebook_html
from envsolver.report.notebook_html import executed_document


def write(tmp_path: Path, notebook: object) -> Path:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def document(tmp_path: Path, *outputs: dict[str, Any]) -> str:
    cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": "x", "outputs": list(outputs)}
    return executed_document(
        write(tmp_path, {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]}),
    )


def display(kind: str, value: object) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": {kind: value}}


@pytest.fixture
def sample(tmp_path: Path) -> str:
    return executed_document(write(tmp_path, report_samples.executed_notebook()))


def test_prose_code_and_outputs_are_shown(sample: str) -> None:
    for text in ("Asian options</h1>", "qmcpy", "4096 points, estimate 5.7832", "<th>price</th>", "image/png;base64"):
        assert text in sample


def test_the_cell_that_raised_is_marked(sample: str) -> None:
    assert sample.count('code_cell rendered fault"') == 1


@pytest.mark.parametrize("text", ["<script", "onclick", "onerror", "onload", "javascript:", "<iframe", "example.org"])
def test_what_could_run_or_load_is_taken_out(sample: str, text: str) -> None:
    assert text in json.dumps(report_samples.executed_notebook())
    assert text not in sample


def test_a_policy_forbids_all_but_styles_and_own_pictures(sample: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in sample


def test_a_flood_of_text_is_cut_and_says_so(tmp_path: Path) -> None:
    text = document(tmp_path, {"output_type": "stream", "name": "stdout", "text": "x" * 1_000_000})
    assert "980000 characters are left out here" in text
    assert len(text) < 60_000


def test_a_picture_that_is_too_large_becomes_a_note(tmp_path: Path) -> None:
    text = document(tmp_path, display("image/png", "A" * (notebook_html.DATA_LIMIT + 1)))
    assert "(image/png) is too large to be shown" in text
    assert "AAAA" not in text


def test_all_pictures_together_stay_under_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_html, "TOTAL_LIMIT", 1000)
    text = document(tmp_path, *(display("image/png", "A" * 400) for _ in range(4)))
    assert text.count("data:image/png") == 2
    assert text.count("is too large to be shown") == 2


def test_a_widget_leaves_its_text(tmp_path: Path) -> None:
    output = display("application/vnd.jupyter.widget-view+json", {"model_id": "abc"})
    output["data"]["text/plain"] = "IntSlider(value=3)"
    assert "IntSlider(value=3)" in document(tmp_path, output)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}}'])
def test_a_file_that_is_no_notebook_becomes_a_note(tmp_path: Path, text: str) -> None:
    path = tmp_path / "<b>.ipynb"
    path.write_text(text)
    assert "&lt;b&gt;.ipynb cannot be shown" in executed_document(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_html, "FILE_LIMIT", 10)
    assert "too large to be shown" in executed_document(write(tmp_path, report_samples.executed_notebook()))


def test_notebooks_of_format_3_are_shown(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "input": "1 + 1", "language": "python", "outputs": [], "collapsed": False}
    notebook = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]}
    assert '<span class="mi">1</span>' in executed_document(write(tmp_path, notebook))


def test_style_sheets_of_an_output_are_kept_for_that_output(tmp_path: Path) -> None:
    table = "<style>#T_1 td > b { color: red } /* } */ .x::after { content: '}' }</style><table id=T_1></table>"
    text = document(tmp_path, display("text/html", table))
    assert "@scope (.scope-0) {#T_1 td > b { color: red }" in text
    assert 'scope-0"' in text


@pytest.mark.parametrize(
    "rules",
    ["} * { display: none", "a { content: '\\\\'' } }", "*{} /* ", "* { background: url(x) }", "* { position: fixed }"],
)
def test_a_style_sheet_that_is_hard_to_enclose_is_left_out(tmp_path: Path, rules: str) -> None:
    assert "@scope" not in document(tmp_path, display("text/html", f"<style>{rules}</style>text"))


def test_an_output_closes_no_cell(tmp_path: Path) -> None:
    text = document(tmp_path, display("text/html", "<b>bold</div></div></div></iframe></body><p>after"))
    assert "<b>bold<p>after</p></b>" in text


def prose(tmp_path: Path, text: str) -> str:
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    return executed_document(write(tmp_path, {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]}))


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("the rate $n^{-1}$ holds", "inline"),
        ("$$\n\\int_0^1 f(x)\\,dx\n$$", "block"),
        ("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}", "block"),
        ("**bold $x_1 * x_2$ and** more", "inline"),
    ],
)
def test_formulas_are_drawn_without_a_script(tmp_path: Path, text: str, display: str) -> None:
    shown = prose(tmp_path, text)
    assert f'display="{display}"' in shown
    assert "$" not in shown.partition("<body>")[2]


@pytest.mark.parametrize(
    "text",
    ["`a $x$ b`", "```\n$x$\n```", "costs $5 and $10", "only $ one", "$" + "x" * 5000 + "$", "`$$a$$`", "a\\$b$"],
)
def test_what_is_no_formula_stays_as_it_is_written(tmp_path: Path, text: str) -> None:
    shown = prose(tmp_path, text)
    assert "<math" not in shown
    assert "$" in shown.partition("<body>")[2]


def test_a_formula_that_cannot_be_read_stays_as_it_is_written(tmp_path: Path) -> None:
    shown = prose(tmp_path, "see $x^2^3$ and $b$")
    assert "see $x^2^3$ and <math" in shown


def test_a_formula_brings_no_markup_of_its_own(tmp_path: Path) -> None:
    shown = prose(tmp_path, "$\\text{<img src=x onerror=alert(1)>} \\href{javascript:alert(1)}{x}$")
    assert "<img" not in shown
    assert "href" not in shown
    assert "&lt;img" in shown
