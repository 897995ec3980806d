"""`report.html`: one file that holds all that is known of a run, to be read in a browser, on a phone, or in the dark.

It loads nothing from elsewhere, and its policy lets only its own script run: what a notebook printed is escaped,
and executed notebooks stand in frames without scripts.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

from envsolver import __version__
from envsolver.core.files import write_atomically
from envsolver.core.paths import REPORT
from envsolver.core.quantities import clock
from envsolver.core.redaction import redact
from envsolver.core.results import Result, Run
from envsolver.report.formatting import one_line, strip_ansi
from envsolver.report.html_failures import failure_view
from envsolver.report.html_view import (
    History,
    environment_view,
    figures_of,
    lanes_of,
    percent,
    rows_of,
    shares_of,
    shown_date,
    title_of,
    version_key,
)
from envsolver.report.run_files import file_in, read_log_tail
from envsolver.report.run_warnings import warning_rows
from envsolver.report.summaries import alike, count_verdicts
from envsolver.report.timeline import timeline

EXECUTED = 30
"""How many executed notebooks are put into the report at most."""
COLOURS = 8
"""How many groups have a colour of their own in the style sheet."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def build_html(
    run: Run,
    *,
    executed: Callable[[Result], str | None] = lambda _: None,
    expected: History | None = None,
    conflicts: Sequence[str] = (),
    log_tail: Callable[[Result], str] = lambda _: "",
) -> str:
    """Return a run as one HTML document.

    Parameters
    ----------
    executed
        Returns the executed copy of a result that is not good as an HTML document of its own; None if there is none.
    expected
        What the notebooks usually take.
    conflicts
        Why groups cannot share an environment, a sentence each.
    log_tail
        Returns the end of a result's log.
    """
    script = _part("report.js")
    kinds = alike(result for result in run.results if not result.good)
    # The first of each kind before the others, since that is what most people look at.
    order = [result for rank in zip_longest(*kinds) for result in rank if result is not None]
    copies = {result.key: executed(result) for result in order[:EXECUTED]}
    places = {result.key: index for index, result in enumerate(run.results)}
    context: dict[str, Any] = {
        **_whole_run(run),
        "policy": _policy(script),
        "script": script,
        "style": _part("report.css"),
        "failures": [
            [failure_view(run, places[each.key], each, log_tail(each), copies.get(each.key)) for each in kind]
            for kind in kinds
        ],
        "rows": rows_of(run, expected or {}),
        "compared": bool(expected),
        "warnings": warning_rows(run),
        "conflicts": [strip_ansi(sentence) for sentence in conflicts],
        "version": __version__,
    }
    # A name may hold control characters, which no HTML document may.
    return redact(_CONTROL.sub("", str(_template().render(context))))


def _whole_run(run: Run) -> dict[str, Any]:
    """Return what the report's parts that are of no single notebook show."""
    groups = sorted({result.group for result in run.results if result.group} | {e.group for e in run.environments})
    laid = timeline(run)
    return {
        "title": title_of(run),
        "started": shown_date(run.started),
        "shares": shares_of(run),
        "stopped": one_line(run.stopped, None).rstrip("."),
        "not_run": run.not_run,
        "figures": figures_of(run),
        "groups": groups,
        "colours": {group: f"var(--g{place % COLOURS})" for place, group in enumerate(groups)},
        "pythons": sorted({result.python for result in run.results if result.python}, key=version_key),
        "verdicts": count_verdicts(run.results),
        "lanes": lanes_of(run, laid),
        "ticks": [{"left": percent(tick / laid.seconds), "text": clock(tick)} for tick in laid.ticks],
        "environments": [environment_view(each) for each in run.environments],
        "directory": str(run.directory),
    }


def write_html(
    run: Run,
    *,
    expected: History | None = None,
    conflicts: Sequence[str] = (),
    seconds: float = math.inf,
) -> Path:
    """Write the run's `report.html` with its logs and executed notebooks, and return its path.

    Parameters
    ----------
    seconds
        When so many have passed, no further executed notebook is put in; the report links to it all the same.
    """
    from envsolver.report.notebook_html import executed_document

    end = time.monotonic() + seconds

    def executed(result: Result) -> str | None:
        path = file_in(run, result.executed)
        return None if path is None or time.monotonic() >= end else executed_document(path)

    text = build_html(
        run,
        executed=executed,
        expected=expected,
        conflicts=conflicts,
        log_tail=lambda result: read_log_tail(run, result),
    )
    path = run.directory / REPORT
    write_atomically(path, text)
    return path


@cache
def _part(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    from jinja2 import Environment as Jinja
    from jinja2 import StrictUndefined

    jinja = Jinja(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters["breakable"] = _breakable
    jinja.filters["with_code"] = _with_code
    return jinja.from_string(_part("report.html.j2"))


def _breakable(text: str) -> str:
    """Return a path as HTML that may be broken where people expect it."""
    return "<wbr>".join(escape(part) for part in re.split(r"(?<=[/_-])(?=.)", text))


def _with_code(text: str) -> str:
    """Return a reason as HTML, what stands between backticks in it as code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
