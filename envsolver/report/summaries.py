"""What became of notebooks, in words: verdicts counted, errors and reasons shown once, times summed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import get_args

from envsolver.core.results import Failure, Result, Run
from envsolver.core.verdicts import Verdict
from envsolver.report.formatting import one_line, strip_ansi
from envsolver.report.tracebacks import raising_frame

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""All verdicts, in the order in which totals name them."""

_RAISED = 500


def count_verdicts(results: Iterable[Result]) -> dict[Verdict, int]:
    """Count the verdicts that occur, in their standing order."""
    found = [result.status for result in results]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def strategies_of(run: Run) -> str:
    """Return the names of the strategies that a run's results were had with; empty when there was none."""
    return ", ".join(sorted({result.strategy for result in run.results if result.strategy}))


def last_counts(counts: Mapping[Verdict, int]) -> str:
    """Return ``N passed, N failed, N skipped``: `cached` is a pass, and all that fails the run is a failure."""
    passed = counts.get("passed", 0) + counts.get("cached", 0)
    skipped = counts.get("skipped", 0)
    return f"{passed} passed, {sum(counts.values()) - passed - skipped} failed, {skipped} skipped"


def where(result: Result) -> str:
    """Return the group and the Python of a result, such as ``core, Python 3.11``; empty when it has neither."""
    parts = (result.group, f"Python {result.python}" if result.python else "")
    return ", ".join(part for part in parts if part)


def error_text(failure: Failure) -> str:
    """Return ``ValueError: the message``, as the last line of a traceback has it."""
    return f"{failure.ename}: {failure.evalue}" if failure.evalue else failure.ename


def headline(result: Result) -> str:
    """Say on one line what became of a notebook; empty for a plain pass."""
    failure = result.failure
    if failure is None or result.status != "failed":
        sentence, words = _last_words(result.reason)
        # A crash's stack is named by its first line, and what others print before they end by their last.
        last = words[0] if words and words[0].startswith("Fatal") else words[-1] if words else ""
        return one_line(f"{sentence}: {last}" if last else sentence)
    if not _tells_of_error(result):
        return one_line(result.reason)
    cell = "" if failure.cell is None else f"cell {failure.cell}: "
    return cell + one_line(error_text(failure))


def error_name(result: Result) -> str:
    """Return which error a notebook raised, and where, such as ``cell 2: ValueError``; empty for any other end.

    This is for the lines of a terminal that lead to a report: what the error says, and any reason, is shown there.
    """
    failure = result.failure
    if failure is None or result.status != "failed" or not _tells_of_error(result):
        return ""
    return ("" if failure.cell is None else f"cell {failure.cell}: ") + one_line(failure.ename)


def _last_words(reason: str) -> tuple[str, list[str]]:
    """Split a reason into its sentence and the kernel's last lines, where it ends with those."""
    sentence, _, tail = reason.partition("; its last lines were:\n")
    return sentence, _full_lines(tail)


def _full_lines(text: str) -> list[str]:
    return [line for line in strip_ansi(text).split("\n") if line.strip()]


def reason_beyond_error(result: Result) -> str:
    """Return the reason, without escapes, and without what the shown error says already."""
    failure, reason = result.failure, strip_ansi(result.reason).strip()
    if failure is None or not has_own_error(result):
        return reason
    if result.status != "failed":
        sentence, words = _last_words(reason)
        return sentence if words and "\n".join(words) in "\n".join(_full_lines(failure.traceback)) else reason
    raised = _raised(failure)
    if reason.startswith(raised):
        return reason[len(raised) :].lstrip("; ")
    return "" if _tells_of_error(result) else reason


def _tells_of_error(result: Result) -> bool:
    """Whether the reason says no more than that there was an error, and which."""
    failure = result.failure
    return failure is not None and (not failure.ename or failure.ename in result.reason or not result.reason)


def _raised(failure: Failure) -> str:
    """Return how a reason begins that names an exception."""
    first = strip_ansi(failure.evalue.strip().split("\n", 1)[0][:_RAISED])
    return f"cell {failure.cell} raised {failure.ename}: {first}".rstrip(": ")


def has_own_error(result: Result) -> bool:
    """Return whether a failure's error says more than the reason: not if it was made from it, as for a timeout."""
    failure = result.failure
    return failure is not None and bool(failure.traceback.strip() or failure.evalue.strip() != result.reason.strip())


def work_seconds(run: Run) -> float:
    """Return the sum of the times of the notebooks that ran in this run, seconds."""
    return sum(result.seconds for result in run.results if result.status != "cached")


def alike(results: Iterable[Result]) -> list[list[Result]]:
    """Bring together the notebooks that one and the same fault kept from passing; every other stands alone.

    That is a fault before they run, or an error with the same words from the same line of the same file.
    """
    found: dict[tuple[object, ...], list[Result]] = {}
    for number, result in enumerate(results):
        failure = result.failure
        frame = raising_frame(failure.traceback) if failure and result.status == "failed" else ""
        key: tuple[object, ...] = (number,)
        if result.status == "environment" and failure is None and not result.executed:
            key = (where(result), _placeless(result))
        elif failure and frame:
            key = (where(result), failure.ename, failure.evalue, frame)
        found.setdefault(key, []).append(result)
    return list(found.values())


def _placeless(result: Result) -> str:
    """Return a reason as it would be of any other notebook: without its name and the place in it."""
    return re.sub(rf"{re.escape(result.notebook)}(?:, cell \d+)?(?:, line \d+)?", "", result.reason)
