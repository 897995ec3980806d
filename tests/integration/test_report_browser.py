"""The HTML report in a real browser."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import report_samples
from fakes import unless_in_ci, until
from report_browser import Browser, find_browser, started_browser

from envsolver.core.results import Failure, Result, Run
from envsolver.report.html import build_html, write_html
from envsolver.report.notebook_html import executed_document

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("browser"),
    unless_in_ci(find_browser() is None, reason="no Chromium is installed to look at the HTML report with"),
]

LISTEN = "window.heard = []; addEventListener('message', (event) => heard.push(event.data))"
"""Hears what scripts in frames say; it is there before any of them."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    assert program is not None
    with started_browser(program, tmp_path_factory.mktemp("profile")) as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = report_samples.with_failures(tmp_path_factory.mktemp("run"))
    for result in run.results:
        if result.executed and not result.good:
            (run.directory / result.executed).parent.mkdir(exist_ok=True)
            (run.directory / result.executed).write_text(json.dumps(report_samples.executed_notebook()))
    return write_html(run, expected={r.key: r.seconds * 0.9 for r in run.results})


@pytest.fixture
def page(browser: Browser, report: Path) -> Browser:
    browser.resize(1280, 900)
    browser.open("about:blank")
    browser.errors.clear()
    browser.open(report.as_uri())
    return browser


def shown(page: Browser, what: str = "dataset.verdict") -> list[Any]:
    rows = "[...document.querySelectorAll('.results tbody tr')].filter((row) => row.offsetParent)"
    found: list[Any] = page.evaluate(f"{rows}.map((row) => row.{what})")
    return found


def until_true(page: Browser, expression: str) -> None:
    until(lambda: page.evaluate(expression))


def click(page: Browser, selector: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def test_the_console_stays_empty(page: Browser) -> None:
    click(page, "#failure-0, details.failure summary")
    page.evaluate("new Promise((done) => setTimeout(done, 500))")
    assert page.errors == []


def test_a_row_leads_to_its_notebook_even_where_another_one_stands_for_it(browser: Browser, tmp_path: Path) -> None:
    frame = "Cell In[1], line 1\n----> 1 f()\n\nFile /env/lib.py:5, in f()\nTypeError: no"
    failure = Failure(cell=1, ename="TypeError", evalue="no", traceback=frame, source="f()")
    results = [
        Result(notebook=f"{n}.ipynb", group="g", python="3.11", status="failed", seconds=1, failure=failure)
        for n in range(5)
    ]
    run = Run(directory=tmp_path, started="", wall_seconds=5, workers=1, results=tuple(results))
    browser.open(write_html(run).as_uri())
    assert not browser.evaluate("document.querySelector('#failure-3').checkVisibility()")
    click(browser, "a[href='#failure-3']")
    until_true(browser, "document.querySelector('#failure-3').open")
    assert browser.evaluate("document.querySelector('#failure-3 .body').checkVisibility()")


def test_typing_filters_by_every_word(page: Browser) -> None:
    page.evaluate("document.querySelector('#search').focus()")
    for letter in "finance option":
        page.press(letter, ord(letter.upper()), letter)
    names = shown(page, "cells[1].dataset.value")
    assert sorted(names) == [
        "demos/finance/american_option_by_regression.ipynb",
        "demos/finance/asian_option.ipynb",
        "demos/finance/barrier_option.ipynb",
    ]
    assert page.evaluate("document.querySelector('#shown').textContent") == "3 of 35 shown"


def test_verdicts_filter_together_and_are_pressed_and_released(page: Browser) -> None:
    click(page, "button[value=failed]")
    assert shown(page) == ["failed"]
    click(page, "button[value=timeout]")
    assert shown(page) == ["failed", "timeout"]
    assert page.evaluate("document.querySelectorAll('[aria-pressed=true]').length") == 2
    click(page, "button[value=failed]")
    click(page, "button[value=timeout]")
    assert len(shown(page)) == 35


def test_a_group_filters_and_nothing_left_is_said(page: Browser) -> None:
    page.evaluate("document.querySelector('#group').value = 'paper'")
    page.evaluate("document.querySelector('#group').dispatchEvent(new Event('input'))")
    assert set(shown(page, "dataset.group")) == {"paper"}
    click(page, "button[value=skipped]")
    assert shown(page) == []
    assert page.evaluate("document.querySelector('#nothing').offsetParent !== null")


def test_numbers_sort_from_the_greatest_then_from_the_least(page: Browser) -> None:
    click(page, "th:nth-child(5) button")
    times = [float(value) for value in shown(page, "cells[4].dataset.value") if value]
    assert times == sorted(times, reverse=True)
    assert shown(page, "cells[4].dataset.value")[-1] == ""
    click(page, "th:nth-child(5) button")
    assert [float(value) for value in shown(page, "cells[4].dataset.value") if value] == sorted(times)
    assert shown(page, "cells[4].dataset.value")[-1] == ""


def test_the_sorted_column_is_told_to_those_who_cannot_see_it(page: Browser) -> None:
    click(page, "th:nth-child(2) button")
    order = page.evaluate("[...document.querySelectorAll('th')].map((th) => th.getAttribute('aria-sort'))")
    assert order == ["none", "ascending", "none", "none", "none", "none", "none"]
    names = shown(page, "cells[1].dataset.value")
    assert names == sorted(names)


def test_a_click_on_a_failed_notebook_opens_its_failure(page: Browser) -> None:
    link = "tr[data-verdict=timeout] a"
    target = page.evaluate(f"document.querySelector('{link}').getAttribute('href')")
    for _ in range(2):
        page.evaluate(f"document.querySelector('{target}').open = false")
        click(page, link)
        until_true(page, f"document.querySelector('{target}').open")
        until_true(page, f"document.activeElement === document.querySelector('{target} summary')")


def test_the_keyboard_reaches_and_opens_a_failure(page: Browser) -> None:
    page.evaluate("document.querySelector('details.failure').open = false")
    for _ in range(2):  # past the link that skips to the notebooks
        page.press("Tab", 9)
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.press("Enter", 13, "\r")
    assert page.evaluate("document.querySelector('details.failure').open")


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_no_width_needs_scrolling_sideways(page: Browser, width: int, dark: bool) -> None:
    page.resize(width, 800, dark=dark)
    page.evaluate("for (const card of document.querySelectorAll('details')) card.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_need_no_scrolling_sideways_either(browser: Browser, tmp_path: Path, width: int) -> None:
    run = report_samples.with_failures(tmp_path)
    group, folder = "a-group-named-after-all-of-its-notebooks-" * 3, "документация/größe/" * 6
    results = [
        dataclasses.replace(result, group=group, notebook=f"{folder}{'long_name_' * 9}{number}.ipynb")
        for number, result in enumerate(run.results)
    ]
    environments = [dataclasses.replace(environment, group=group) for environment in run.environments]
    changed = dataclasses.replace(run, results=(*results, *run.results), environments=tuple(environments))
    browser.resize(width, 800)
    open_all(browser, tmp_path, build_html(changed, conflicts=["numpy<2 (" + "x" * 300 + ") meets numpy>=2"]))
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    narrowest = "Math.min(...[...document.querySelectorAll('td.name')].map((cell) => cell.clientWidth))"
    assert browser.evaluate(narrowest) > 180


def test_darkness_changes_the_page(page: Browser) -> None:
    colours = []
    for dark in (False, True):
        page.resize(1280, 800, dark=dark)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(250, 249, 246)", "rgb(19, 21, 24)"]


HOSTILE_DOCUMENT = f"<!doctype html><script>{report_samples.HACK}</script>{report_samples.HOSTILE_HTML}"


def open_all(browser: Browser, tmp_path: Path, text: str) -> None:
    """Open a page of this text, and in it all that can be opened."""
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    browser.open(path.as_uri())
    # Frames that wait until they are seen must load too.
    browser.evaluate("for (const frame of document.querySelectorAll('iframe')) frame.loading = 'eager'")
    browser.evaluate("for (const card of document.querySelectorAll('details')) card.open = true")


def test_an_unprotected_frame_would_run_the_hostile_script(browser: Browser, tmp_path: Path) -> None:
    open_all(browser, tmp_path, f'<iframe srcdoc="{escape(HOSTILE_DOCUMENT)}"></iframe>')
    until_true(browser, "heard.includes('hacked')")


def test_no_script_of_a_notebook_runs_even_if_it_was_not_taken_out(browser: Browser, tmp_path: Path) -> None:
    run = report_samples.with_failures(tmp_path)
    text = build_html(run, executed=lambda _: HOSTILE_DOCUMENT, log_tail=lambda _: HOSTILE_DOCUMENT)
    open_all(browser, tmp_path, text)
    browser.evaluate("new Promise((done) => setTimeout(done, 2000))")
    assert browser.evaluate("heard") == []
    assert browser.evaluate("document.querySelectorAll('iframe').length") == 5
    assert browser.evaluate("[...document.querySelectorAll('h1')].map((h) => h.textContent)") == [
        "5 of 35 notebooks did not pass"
    ]


COVERS = "inset: 0; width: 9999px; height: 9999px; background: white; z-index: 9"


@pytest.mark.parametrize(
    "html",
    [
        "<style>* { display: none !important }</style>",
        "<style>} * { display: none !important } {</style>",
        "<style>.cell, body { visibility: hidden !important; opacity: 0 }</style>",
        f"<div style='position: fixed; {COVERS}'>over all</div>",
        f"<div style='position: absolute; {COVERS}'>over all</div>",
        f"</div></div></div></div></div></div><div style='position: fixed; {COVERS}'>over all</div>",
        "<!-- <plaintext>",
        "<svg><style>* { display: none !important }</style></svg>",
        "<table><style>.cell { display: none }</style>",
    ],
)
@pytest.mark.parametrize("kind", ["output", "prose"])
def test_no_cell_of_a_notebook_hides_another(browser: Browser, tmp_path: Path, html: str, kind: str) -> None:
    shown = {"output_type": "display_data", "metadata": {}, "data": {"text/html": html}}
    code: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": "x"}
    prose = {"cell_type": "markdown", "metadata": {}, "source": html}
    last = {"output_type": "stream", "name": "stdout", "text": "still here"}
    cells = [{**code, "outputs": [shown]} if kind == "output" else prose, {**code, "outputs": [last]}]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
    open_all(browser, tmp_path, executed_document(path))
    found = browser.evaluate(
        "(() => { const last = [...document.querySelectorAll('.output_stdout pre')].at(-1);"
        " last.scrollIntoView(); const place = last.getBoundingClientRect();"
        " return last.checkVisibility({opacityProperty: true, visibilityProperty: true})"
        " && document.elementFromPoint(place.x + 5, place.y + 5) === last })()"
    )
    assert found is True


AXE = resources.files("axe_playwright_python") / "axe.min.js"
VIOLATIONS = """axe.run(document, {iframes: false}).then((found) =>
    found.violations.flatMap((each) => each.nodes.map((node) => each.id + ": " + node.html.slice(0, 200))))"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_that_keeps_anybody_out(page: Browser, width: int, *, dark: bool) -> None:
    page.resize(width, 844, dark=dark)
    page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    assert page.evaluate(VIOLATIONS) == []
