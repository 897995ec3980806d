"""What is shown while a run goes on: plain lines, or a live view on a terminal."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from envsolver.core.jobs import Job
from envsolver.core.progress import Progress
from envsolver.core.quantities import duration
from envsolver.core.results import Block, Result
from envsolver.core.verdicts import Verdict
from envsolver.report.formatting import one_line
from envsolver.report.live_view import ProgressState, live_view
from envsolver.report.summaries import error_name

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

REFRESH_PER_SECOND = 4

COLOURS: Mapping[Verdict, str] = {
    "passed": "32",
    "cached": "32",
    "skipped": "33",
    "failed": "31",
    "timeout": "31",
    "memory": "31",
    "crashed": "31",
    "environment": "31",
    "lost": "31",
}


def use_color(stream: TextIO, wanted: bool | None, environ: Mapping[str, str] | None = None) -> bool:
    """Decide whether to write colours.

    Parameters
    ----------
    wanted
        What the command line says; None leaves it to the surroundings.
    environ
        Environment variables: ``NO_COLOR`` forbids colours, ``FORCE_COLOR`` asks for them (each if not empty).
    """
    environ = os.environ if environ is None else environ
    if wanted is not None:
        return wanted
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or is_terminal(stream, environ)


def is_terminal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal on which the cursor can move."""
    return stream.isatty() and environ.get("TERM") != "dumb"


def make_progress(stream: TextIO, *, color: bool | None = None, quiet: bool = False, verbose: bool = False) -> Progress:
    """Choose how to show a run's progress on a stream.

    A terminal gets the live view, everything else plain lines. `quiet` leaves only the notebooks that do not
    pass; `verbose` adds each start, and on a terminal each pass.
    """
    coloured = use_color(stream, color)
    if quiet or not is_terminal(stream, os.environ):
        return PlainProgress(stream, color=coloured, quiet=quiet, verbose=verbose)
    from rich.console import Console

    console = Console(file=stream, no_color=not coloured, force_terminal=True, highlight=False, markup=False)
    return LiveProgress(console, verbose=verbose)


class PlainProgress:
    """One line for each event, for logs and pipes.

    Parameters
    ----------
    quiet
        Show only notebooks that do not pass.
    verbose
        Show also that a job was started.
    """

    def __init__(self, stream: TextIO, *, color: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self._stream = stream
        self._color = color
        self._quiet = quiet
        self._verbose = verbose
        self._total = 0
        self._done = 0
        self._group_width = 0
        self._pythons: tuple[str, ...] = ()

    def note(self, text: str) -> None:
        """Say one line."""
        if not self._quiet:
            self._write(text)

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None = None, pythons: Sequence[str] = ()
    ) -> None:
        """Say how much there is to do."""
        self._total += sum(total.values())
        self._group_width = max((len(group) for group in total), default=0)
        groups = ", ".join(f"{group or 'no group'} {count}" for group, count in total.items() if count)
        self._pythons = tuple(pythons)
        on = f", on Python {', '.join(pythons)}" if len(pythons) > 1 else ""
        about = "" if expected is None else f", about {duration(expected)}"
        self.note(f"running {self._total} ({groups}){on}, {workers} at once{about}")

    def started(self, job: Job, expected: float | None = None) -> None:
        """Say that a job was started, if asked to be verbose."""
        if self._verbose and not self._quiet:
            about = "" if expected is None else f"  about {duration(expected)}"
            why = f"  {one_line(job.why)}" if job.why else ""
            self._write(f"{'':{self._counter_width}} started {self._columns(job)}{about}{why}")

    def returned(self, job: Job) -> None:
        """Say nothing: a line about why was said."""

    def block(self, block: Block) -> None:
        """Say nothing: lines tell what has become of blocks."""

    def finished(self, result: Result) -> None:
        """Say a verdict, with the error below that the notebook raised, if it did; its reason is for the report."""
        self._done += 1
        if self._quiet and result.good:
            return
        verdict = f"{result.status:7}"
        if self._color:
            verdict = f"\x1b[{COLOURS[result.status]}m{verdict}\x1b[0m"
        took = f"  {duration(result.seconds)}" if result.seconds else ""
        how = f"  isolation: {result.isolation}" if self._verbose and result.isolation else ""
        self._write(f"{self._counter()} {verdict} {self._columns(result)}{took}{how}")
        if name := error_name(result):
            self._write(f"{'':{self._counter_width}} {name}")

    def end(self) -> None:
        """Flush what was written."""
        self._stream.flush()

    def _counter(self) -> str:
        total = max(self._total, self._done)
        return f"[{self._done:{len(str(total))}}/{total}]"

    @property
    def _counter_width(self) -> int:
        return len(self._counter())

    def _columns(self, shown: Job | Result) -> str:
        # Where one Python runs, its version would say nothing.
        width = max(map(len, self._pythons), default=0)
        python = f"  {shown.python:{width}}" if len(self._pythons) > 1 else ""
        return f"{shown.group:{self._group_width}}{python}  {one_line(shown.notebook)}"

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        # A log that is followed must show a line as soon as it is said.
        self._stream.flush()


class LiveProgress:
    """A view that is redrawn on a terminal: groups, running jobs, a bar; failures scroll by above it.

    Its thread redraws a few times a second; everything that it reads is guarded by one lock.
    """

    def __init__(self, console: Console, *, verbose: bool = False, state: ProgressState | None = None) -> None:
        self._console = console
        self._verbose = verbose
        self._state = state or ProgressState()
        self._lock = threading.Lock()
        self._live: Live | None = None

    def note(self, text: str) -> None:
        """Say one line, above the view."""
        self._print(text)

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None = None, pythons: Sequence[str] = ()
    ) -> None:
        """Open the view."""
        from rich.live import Live

        with self._lock:
            self._state.begin(total, workers, expected, pythons)
        if self._live is None:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                refresh_per_second=REFRESH_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start()

    def started(self, job: Job, expected: float | None = None) -> None:
        """Show a running job."""
        with self._lock:
            self._state.start(job, expected)

    def returned(self, job: Job) -> None:
        """Show a job no more that waits again."""
        with self._lock:
            self._state.running.pop(job.key, None)

    def block(self, block: Block) -> None:
        """Show a block as it is now."""
        with self._lock:
            self._state.note_block(block)

    def finished(self, result: Result) -> None:
        """Count a verdict; one that is not good is said above the view at once."""
        with self._lock:
            self._state.finish(result)
        if self._verbose or not result.good:
            self._print(result.status, one_line(result.notebook), result)

    def end(self) -> None:
        """Close the view and restore the terminal. May be called more than once."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _print(self, first: str, notebook: str = "", result: Result | None = None) -> None:
        from rich.text import Text

        text = Text(first)
        if result is not None:
            text = Text(f"{first:7}", style=f"bold {_style(result)}")
            took = f"  {duration(result.seconds)}" if result.seconds else ""
            python = f"  {result.python}" if self._state.several_pythons else ""
            how = f"  isolation: {result.isolation}" if self._verbose and result.isolation else ""
            text.append(f" {result.group}{python}  {notebook}{took}{how}", style="not bold default")
            if name := error_name(result):
                text.append(f"\n        {name}", style="not bold default")
        self._console.print(text, soft_wrap=True)

    def _view(self) -> RenderableType:
        with self._lock:
            self._state.refresh()
            return live_view(self._state, self._console.width, self._console.height)


def _style(result: Result) -> str:
    if not result.good:
        return "red"
    return "yellow" if result.status == "skipped" else "green"
