"""What is shown while a run goes on."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import report_samples
from fakes import job as a_job
from rich.console import Console

from envsolver.core.results import Failure, Result
from envsolver.core.verdicts import Verdict
from envsolver.report.live import LiveProgress, PlainProgress, make_progress, use_color
from envsolver.report.live_view import ProgressState, has_begun, live_view


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def a_result(notebook: str, status: Verdict = "passed", group: str = "core", reason: str = "") -> Result:
    return Result(notebook=notebook, group=group, python="3.11", status=status, seconds=4.1, reason=reason)


def say(progress: PlainProgress | LiveProgress) -> None:
    """Tell of a small run."""
    progress.note("core: built in 12 s")
    progress.begin({"core": 2, "ml": 8}, 2, 30.0)
    progress.started(a_job("demos/x"), 4.0)
    progress.finished(a_result("demos/x.ipynb"))
    progress.finished(a_result("demos/y.ipynb", "timeout", "ml", "cell 3 ran over its limit of 5 s"))
    progress.end()


def test_plain_progress_is_a_line_for_each_event() -> None:
    stream = io.StringIO()
    say(PlainProgress(stream))
    assert stream.getvalue().splitlines() == [
        "core: built in 12 s",
        "running 10 (core 2, ml 8), 2 at once, about 30 s",
        "[ 1/10] passed  core  demos/x.ipynb  4.1 s",
        "[ 2/10] timeout ml    demos/y.ipynb  4.1 s",
    ]


def test_where_several_pythons_run_each_line_names_its_own() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream, verbose=True)
    progress.begin({"core": 1, "ml": 1}, 2, pythons=("3.9", "3.11"))
    progress.started(a_job("x"))
    progress.finished(replace(a_result("x.ipynb"), python="3.9"))
    progress.finished(a_result("x.ipynb", "skipped", "ml"))
    assert stream.getvalue().splitlines() == [
        "running 2 (core 1, ml 1), on Python 3.9, 3.11, 2 at once",
        "      started core  3.11  x.ipynb",
        "[1/2] passed  core  3.9   x.ipynb  4.1 s",
        "[2/2] skipped ml    3.11  x.ipynb  4.1 s",
    ]


@pytest.mark.parametrize("pythons", [("3.11",), ("3.10", "3.11")])
def test_the_live_view_names_the_python_only_where_several_run(pythons: tuple[str, ...]) -> None:
    console = a_console()
    state = ProgressState()
    progress = LiveProgress(console, state=state)
    progress.begin({"core": 2}, 2, pythons=pythons)
    progress.started(a_job("x"))
    console.print(live_view(state, 80, 24))
    progress.finished(a_result("y.ipynb", "failed"))
    progress.end()
    assert ("  3.11     starting" in written(console)) is (len(pythons) > 1)
    assert ("core  3.11  y.ipynb" in written(console)) is (len(pythons) > 1)


def test_a_reason_is_left_to_the_report_and_an_error_is_named() -> None:
    failure = Failure(cell=2, ename="ValueError", evalue="too long to be said twice")
    failed = replace(a_result("a", "failed", reason="cell 2 raised ValueError: too long"), failure=failure)
    plain, console = io.StringIO(), a_console()
    for progress in (PlainProgress(plain), LiveProgress(console)):
        progress.finished(failed)
        progress.finished(a_result("b", "environment", reason="no compiler"))
    for said in (plain.getvalue(), written(console)):
        assert "cell 2: ValueError" in said
        assert "too long" not in said
        assert "no compiler" not in said


def test_verbose_adds_the_starts() -> None:
    stream = io.StringIO()
    say(PlainProgress(stream, verbose=True))
    assert "        started core  demos/x.ipynb  about 4.0 s" in stream.getvalue().splitlines()


def test_quiet_leaves_only_what_does_not_pass() -> None:
    stream = io.StringIO()
    say(PlainProgress(stream, quiet=True))
    assert stream.getvalue().splitlines() == [
        "[ 2/10] timeout ml    demos/y.ipynb  4.1 s",
    ]


def test_a_name_that_holds_escapes_is_shown_without_them() -> None:
    stream = io.StringIO()
    PlainProgress(stream).finished(a_result("a\x1b[2J\nb.ipynb"))
    assert stream.getvalue() == "[1/1] passed  core  a b.ipynb  4.1 s\n"


@pytest.mark.parametrize(
    ("wanted", "environ", "terminal", "expected"),
    [
        (None, {}, True, True),
        (None, {}, False, False),
        (None, {"NO_COLOR": "1"}, True, False),
        (None, {"NO_COLOR": ""}, True, True),
        (None, {"FORCE_COLOR": "1"}, False, True),
        (None, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        (None, {"TERM": "dumb"}, True, False),
        (False, {"FORCE_COLOR": "1"}, True, False),
        (True, {"NO_COLOR": "1"}, False, True),
    ],
)
def test_colour_is_chosen(wanted: bool | None, environ: dict[str, str], terminal: bool, expected: bool) -> None:
    assert use_color(Terminal() if terminal else io.StringIO(), wanted, environ) is expected


def test_a_pipe_gets_plain_lines_and_a_terminal_the_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_progress(io.StringIO()), PlainProgress)
    assert isinstance(make_progress(Terminal(), quiet=True), PlainProgress)
    assert isinstance(make_progress(Terminal()), LiveProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_progress(Terminal()), PlainProgress)


def a_console(width: int = 80, height: int = 24) -> Console:
    return Console(file=Terminal(), force_terminal=True, width=width, height=height, color_system="standard")


def written(console: Console) -> str:
    assert isinstance(console.file, Terminal)
    return console.file.getvalue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> ProgressState:
    """Return a run of 33 notebooks, 10 done and 4 running for 7 seconds."""
    state = ProgressState(clock, begun=lambda _: True)
    pairs = [(group, name, s) for group, names in report_samples.NOTEBOOKS.items() for name, s in names]
    state.begin({group: len(names) for group, names in report_samples.NOTEBOOKS.items()}, 4, 100.0)
    for group, name, _ in pairs[:10]:
        state.finish(a_result(name, group=group))
    for group, name, seconds in pairs[12:16]:
        state.start(a_job(name.removesuffix(".ipynb"), group), seconds)
    state.refresh()
    clock.now += 7
    return state


def rendered(state: ProgressState, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(live_view(state, width, height), end="")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_view_names_running_jobs_by_group_with_their_times(state: ProgressState) -> None:
    lines = rendered(state)
    at = next(number for number, line in enumerate(lines) if line.startswith("ml"))
    assert lines[at].split() == ["ml", "0/7"]
    assert lines[at + 1].split() == ["demos/ml/gaussian_process_regression.ipynb", "0:07", "/", "0:12"]


@pytest.mark.parametrize(("width", "told"), [(80, "  data/wall.csv changed"), (60, "  data/w"), (40, "")])
def test_the_view_tells_why_a_notebook_runs_where_there_is_room(width: int, told: str) -> None:
    state = ProgressState(begun=lambda _: False)
    state.begin({"core": 1}, 1, None)
    state.start(a_job("demos/x", why="data/wall.csv changed"), None)
    line = next(line for line in rendered(state, width) if "demos/x.ipynb" in line)
    assert line.startswith(f"  demos/x.ipynb{told}")
    assert line.endswith(" starting")
    assert ("data" in line) is bool(told)


def test_the_view_counts_and_tells_what_is_left(state: ProgressState) -> None:
    assert rendered(state)[-1].strip("━ ") == "10/33  0:07  about 1:33 left"


def test_failures_are_counted_by_group_and_in_all(state: ProgressState) -> None:
    state.finish(a_result("demos/ml/gaussian_process_regression.ipynb", "failed", "ml"))
    lines = rendered(state)
    assert any(line.split() == ["ml", "1/7", "1", "failed"] for line in lines)
    assert "11/33  1 failed  0:07" in lines[-1]


@pytest.mark.parametrize("width", [30, 44, 80, 200])
@pytest.mark.parametrize("height", [5, 8, 24])
def test_the_view_never_outgrows_the_terminal(state: ProgressState, width: int, height: int) -> None:
    for number in range(100):
        state.start(a_job(f"demos/{'long' * 30}_{number}"), 5.0)
    lines = rendered(state, width, height)
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)


def test_jobs_that_do_not_fit_are_counted(state: ProgressState) -> None:
    for number in range(100):
        state.start(a_job(f"demos/{number}"), 5.0)
    assert any("more running" in line for line in rendered(state, 80, 10))


def test_a_long_name_loses_its_middle() -> None:
    state = ProgressState()
    state.begin({"core": 1}, 1, None)
    state.start(a_job("demos/" + "very/" * 30 + "end_of_name"), None)
    (line,) = [line for line in rendered(state) if "…" in line]
    assert line.strip().startswith("demos/very")
    assert "end_of_name.ipynb" in line


def test_without_a_history_nothing_is_foretold(clock: Clock) -> None:
    state = ProgressState(clock)
    state.begin({"core": 2}, 1, None)
    assert state.remaining() is None


def test_the_time_left_follows_the_pace_of_the_finished(clock: Clock) -> None:
    state = ProgressState(clock)
    state.begin({"core": 2}, 1, 20.0)
    assert state.remaining() == pytest.approx(20.0)
    state.start(a_job("a"), 10.0)
    state.finish(dataclasses.replace(a_result("a.ipynb"), seconds=20.0))
    # Half of the work took twice its time; the pace is believed by half: 20 s times 1.5, less the 20 s gone.
    assert state.remaining() == pytest.approx(10.0)


def test_the_time_left_is_never_less_than_a_running_job_needs(clock: Clock) -> None:
    state = ProgressState(clock, begun=lambda _: True)
    state.begin({"core": 2}, 2, 10.0)
    state.start(a_job("a"), 9.0)
    state.refresh()
    clock.now += 1
    state.finish(dataclasses.replace(a_result("z.ipynb"), seconds=9.0))
    state.start(a_job("b"), 10.0)
    assert state.remaining() == pytest.approx(10.0)


def test_the_time_left_stands_still_until_there_is_work(clock: Clock) -> None:
    begun: list[str] = []
    state = ProgressState(clock, begun=lambda job: job.notebook in begun)
    state.begin({"core": 3}, 1, 30.0)
    clock.now += 50  # an environment is built
    assert state.remaining() == pytest.approx(30.0)
    state.start(a_job("a"), 10.0)
    state.refresh()
    clock.now += 3  # a worker starts
    assert state.remaining() == pytest.approx(30.0)
    begun.append("a.ipynb")
    state.refresh()
    clock.now += 4
    assert state.remaining() == pytest.approx(26.0)


def test_when_nothing_waits_the_time_left_is_what_the_running_jobs_need(clock: Clock) -> None:
    state = ProgressState(clock, begun=lambda _: True)
    state.begin({"core": 2}, 2, 60.0)
    state.start(a_job("a"), 8.0)
    state.start(a_job("b"), 60.0)
    state.refresh()
    clock.now += 20
    assert state.remaining() == pytest.approx(40.0)


def test_a_worker_that_is_starting_takes_no_time_of_the_notebooks(clock: Clock) -> None:
    begun: list[str] = []
    state = ProgressState(clock, begun=lambda job: job.notebook in begun)
    state.begin({"core": 1}, 1, None)
    state.start(a_job("a"), 10.0)
    for _ in range(2):
        clock.now += 5
        state.refresh()
        assert any(line.split() == ["a.ipynb", "starting", "/", "0:10"] for line in rendered(state))
    begun.append("a.ipynb")
    state.refresh()
    clock.now += 2
    assert any(line.split() == ["a.ipynb", "0:02", "/", "0:10"] for line in rendered(state))


def test_a_job_has_begun_when_its_log_is_there(tmp_path: Path) -> None:
    job = dataclasses.replace(a_job("a"), run_dir=str(tmp_path))
    assert not has_begun(job)
    (tmp_path / job.log).parent.mkdir()
    (tmp_path / job.log).touch()
    assert has_begun(job)


def test_the_live_view_says_failures_above_and_leaves_a_clean_terminal() -> None:
    console = a_console()
    say(LiveProgress(console))
    text = written(console)
    assert "timeout" in text
    assert "\x1b[?25l" in text
    assert text.rstrip("\n").rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def test_the_live_view_says_passes_only_if_verbose() -> None:
    for verbose in (False, True):
        console = a_console()
        say(LiveProgress(console, verbose=verbose))
        assert ("passed" in written(console)) is verbose


def test_ending_twice_or_before_the_beginning_does_nothing() -> None:
    console = a_console()
    progress = LiveProgress(console)
    progress.end()
    say(progress)
    before = written(console)
    progress.end()
    assert written(console) == before


def test_square_brackets_in_names_are_no_markup() -> None:
    console = a_console()
    progress = LiveProgress(console)
    progress.finished(a_result("demos/[red]x[/red].ipynb", "failed"))
    assert "demos/[red]x[/red].ipynb" in written(console)


def test_importing_reports_imports_nothing_heavy() -> None:
    code = (
        "import sys, importlib, pathlib, envsolver.report as r\n"
        "for path in pathlib.Path(r.__path__[0]).glob('*.py'):\n"
        "    importlib.import_module('envsolver.report.' + path.stem) if path.stem != '__init__' else None\n"
        "print([name for name in ('rich', 'jinja2', 'nbconvert', 'nbformat', 'pydantic') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
