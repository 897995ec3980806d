"""What GitHub Actions shows of a run: annotations on notebooks, a step summary, logs folded by notebook.

The builders are pure. What notebooks printed is never trusted: in a log it could be taken for a workflow
command, in a summary for markup.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path

from envsolver.core.quantities import duration, plural, size
from envsolver.core.redaction import redact
from envsolver.core.results import Result, Run
from envsolver.report.annotations import line_of_failure
from envsolver.report.formatting import one_line, printable, strip_ansi
from envsolver.report.run_files import read_log_tail
from envsolver.report.summaries import (
    count_verdicts,
    error_name,
    error_text,
    has_own_error,
    headline,
    last_counts,
    reason_beyond_error,
    where,
    work_seconds,
)
from envsolver.report.tracebacks import last_frames

SUMMARY_BYTES = 900_000
"""Size that a summary is kept under; GitHub refuses one over 1 MiB."""
DETAILS = 20
"""How many failures the summary shows with their traceback."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~$@])")


def error_commands(run: Run, prefix: str = "", line_of: Callable[[Result], int | None] = lambda _: None) -> list[str]:
    """Return one ``::error`` command for each notebook that did not pass.

    Parameters
    ----------
    prefix
        The project's place in the repository, such as ``docs/``; empty when it is the repository's root.
    line_of
        Returns the line of a notebook's file that raised; None when it is not known.
    """
    lines = []
    for result in run.results:
        if result.good:
            continue
        title = f"{result.status}: {Path(result.notebook).name}" + (f" ({where(result)})" if where(result) else "")
        message = headline(result) if error_name(result) else strip_ansi(result.reason)
        if error_name(result) and (reason := reason_beyond_error(result)):
            message += f"\n\n{reason}"
        if result.failure and result.failure.traceback:
            message += "\n\n" + strip_ansi("\n".join(last_frames(result.failure.traceback)))
        line = line_of(result)
        at = "" if line is None else f",line={line}"
        place = f"file={_property(prefix + result.notebook)}{at},title={_property(title)}"
        lines.append(f"::error {place}::{_message(message)}")
    return lines


def folded_logs(run: Run, log_tail: Callable[[Result], str], token: str) -> list[str]:
    """Return the logs, each in a group that GitHub folds; notebooks without a log are left out.

    Parameters
    ----------
    token
        A word that cannot be guessed: until it comes, GitHub obeys no command, so a log cannot issue any.
    """
    lines: list[str] = []
    for result in run.results:
        if log := strip_ansi(log_tail(result)).rstrip():
            title = f"{result.notebook} ({result.status}, {duration(result.seconds)})"
            lines += [f"::group::{_message(one_line(title))}", f"::stop-commands::{token}"]
            lines += [*printable(log).split("\n"), f"::{token}::", "::endgroup::"]
    return lines


def summary_markdown(run: Run) -> str:
    """Return the step summary: totals, the notebooks that did not pass with their errors, and all in a table."""
    bad = [result for result in run.results if not result.good]
    counts = count_verdicts(run.results)
    title = f"{plural(len(bad), 'notebook')} did not pass" if bad else "All notebooks passed"
    if not bad and (run.stopped or run.not_run):
        title = "The run was stopped"
    work = duration(work_seconds(run))
    parts = [
        f"## {title}\n",
        f"{last_counts(counts)} in {duration(run.wall_seconds)} "
        f"({work} of notebooks, {run.workers} at once): "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        + "\n",
    ]
    if run.stopped or run.not_run:
        not_run = f" {plural(len(run.not_run), 'notebook')} not run." if run.not_run else ""
        parts.append(f"**Stopped:** {_markdown(run.stopped) or 'before the end'}.{not_run}\n")
    if bad:
        parts += [_table(bad), *(_details(result) for result in bad[:DETAILS])]
    good = [result for result in run.results if result.good]
    if good:
        table = _table(good)
        parts.append(f"<details><summary>{plural(len(good), 'other notebook')}</summary>\n\n{table}\n</details>\n")
    return _bounded(parts)


def write_github(
    run: Run, environ: Mapping[str, str], write: Callable[[str], object], *, root: Path | None = None
) -> None:
    """Write annotations and logs and append to the step's summary; only on GitHub Actions.

    Parameters
    ----------
    environ
        Environment variables; without ``GITHUB_ACTIONS=true`` nothing is written.
    write
        Writes text as it is to the log that GitHub reads.
    root
        The project's root, which decides the notebooks' paths in the repository; by default the repository's root.
    """
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    logs = folded_logs(run, lambda result: read_log_tail(run, result), secrets.token_hex(16))
    prefix = _prefix(root, environ.get("GITHUB_WORKSPACE", ""))
    errors = error_commands(run, prefix, lambda result: None if root is None else line_of_failure(root, result))
    write("".join(line + "\n" for line in chain(logs, errors)))
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(redact(summary_markdown(run)))


def _prefix(root: Path | None, workspace: str) -> str:
    if root is None or not workspace:
        return ""
    resolved, base = root.resolve(), Path(workspace).resolve()
    if resolved == base or not resolved.is_relative_to(base):
        return ""
    return resolved.relative_to(base).as_posix() + "/"


def _message(text: str) -> str:
    """Escape a command's message."""
    return _on_one_line(printable(text))


def _on_one_line(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a command's property."""
    return _on_one_line(text).replace(":", "%3A").replace(",", "%2C")


def _markdown(text: str) -> str:
    """Return text on one line that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", one_line(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _table(results: Iterable[Result]) -> str:
    rows = ["| Verdict | Notebook | Group | Python | Time | Peak memory | |", "|---|---|---|---|--:|--:|---|"]
    for result in results:
        took = duration(result.seconds) if result.seconds else ""
        cells = (result.status, result.notebook, result.group, result.python, took, size(result.peak_rss_bytes))
        rows.append("| " + " | ".join(_markdown(cell) for cell in (*cells, headline(result))) + " |")
    return "\n".join(rows) + "\n"


def _details(result: Result) -> str:
    title = f"{_markdown(result.status)}: {_markdown(result.notebook)}"
    body = [reason_beyond_error(result) or strip_ansi(result.reason)]
    if failure := result.failure:
        cell = "The cell" if failure.cell is None else f"Cell {failure.cell}"
        body += [f"{cell}:", _fenced(failure.source, "python")] if failure.source else []
        if has_own_error(result):
            body.append(_fenced("\n".join(last_frames(failure.traceback or error_text(failure)))))
        body[0] = _markdown(body[0])
    else:
        body = [_fenced(body[0])]
    text = "\n\n".join(part for part in body if part)
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>\n"


def _fenced(text: str, language: str = "") -> str:
    """Return a code block whose fence is longer than any row of backticks in it."""
    text = strip_ansi(text).rstrip()
    longest = max((len(row) for row in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _bounded(parts: Iterable[str]) -> str:
    """Join parts while they fit; a part that does not is left out, and that is said."""
    kept: list[str] = []
    room = SUMMARY_BYTES
    left_out = False
    for part in parts:
        cost = len(part.encode("utf-8", "replace")) + 1
        if cost <= room:
            kept.append(part)
            room -= cost
        else:
            left_out = True
    if left_out:
        kept.append("Some parts are too large to be shown here.\n")
    return "\n".join(kept)
