"""Notebooks as pytest's items, with `pytest --notebooks`: pytest selects and reports, and one run has the verdicts.

The run takes place after the other tests. Each verdict goes through pytest's own protocol for a test as
soon as it is there, so that hooks, reports and `--lf` see what they see of any other test.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _pytest.skipping import evaluate_skip_marks, evaluate_xfail_marks  # pytest tells it nowhere else

from envsolver.config.load import settings_for
from envsolver.core.errors import EnvsolverError, InterruptedRunError, UnusableNotebookError
from envsolver.core.jobs import Job
from envsolver.core.paths import REPORT, RUNS, history_name
from envsolver.core.results import Block, Result, Run
from envsolver.notebooks.nbfile import read_notebook_file
from envsolver.notebooks.select import find_notebooks
from envsolver.notebooks.walk import shown_name
from envsolver.report.formatting import printable, strip_ansi
from envsolver.report.text import shown_path
from envsolver.run.directories import new_run_directory, prepare_state
from envsolver.run.options import Options
from envsolver.run.parsl.prestart import ParslPrestart
from envsolver.run.project import Project, open_project
from envsolver.run.workflow import run
from envsolver.testing.coverage import coverage_asked, hand_over
from envsolver.testing.failure_texts import FailureText, NotebookFailedError, printed
from envsolver.testing.overwrite import overwrite

NAME = "notebook"
"""What the one item of a notebook's file is called."""

BUILT_IN = frozenset({"skip", "skipif", "xfail", "usefixtures", "parametrize", "filterwarnings"})
"""Marks that mean something to pytest itself, which a tag of the same name does not."""


def register(config: pytest.Config) -> None:
    """Have pytest collect and run notebooks.

    Raises
    ------
    UsageError
        The project's configuration is wrong, or xdist is to run the tests.
    """
    if config.getoption("dist", "no") != "no" or config.getoption("tx", None):
        raise pytest.UsageError(
            "--notebooks: pytest-xdist would split the notebooks, which are one run that is parallel by itself; "
            "leave -n out, or say `-n 0`, and set how many run at once with --notebooks-workers"
        )
    config.pluginmanager.register(NotebooksPlugin(config), "envsolver-notebooks")


class NotebookModule(pytest.File):
    """A notebook's file: it holds one item."""

    def collect(self) -> Iterator[NotebookItem]:
        """Yield the item."""
        yield NotebookItem.from_parent(self, name=NAME)


class NotebookItem(pytest.Item):
    """One notebook as a test.

    Attributes
    ----------
    result
        Its verdict; None before it is there.
    root, directory
        The project's root, and the run's folder.
    running
        Whether the notebooks run.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.result: Result | None = None
        self.root = Path()
        self.directory = Path()
        self.running = False
        # `-k` finds folders as well, which pytest's own nodes have one each.
        self.extra_keyword_matches.add(self.nodeid)

    def listchain(self) -> list[Any]:
        """Return the nodes that lead to it; while notebooks run, which end in any order, no folder between.

        What pytest sets up for a folder it tears down before another's tests, and it must know which these are.
        """
        chain = super().listchain()
        return [chain[0], self] if self.running else chain

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it stands, and its name in headings."""
        return self.path, 0, self.nodeid.removesuffix(f".ipynb::{NAME}")

    def runtest(self) -> None:
        """End as the notebook did."""
        result = self.result
        if result is None:
            raise NotebookFailedError("it has no verdict, since the run ended before it did")
        self.user_properties += [("verdict", result.status), ("group", result.group), ("python", result.python)]
        if result.status == "skipped":
            raise pytest.skip.Exception(printable(strip_ansi(result.reason)), _use_item_location=True)
        if not result.good:
            for stream, text in printed(self.directory / result.executed if result.executed else None).items():
                self.add_report_section("call", stream, text)
            raise NotebookFailedError(result.reason)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what is shown of a failure."""
        if isinstance(excinfo.value, NotebookFailedError):
            text = FailureText(self.root, self.path, self.result, self.directory, str(excinfo.value))
            return text.shortened() if self.config.option.tbstyle == "line" else text
        return super().repr_failure(excinfo, style)


class NotebooksPlugin:
    """Collects notebooks, and runs those that pytest selects.

    Raises
    ------
    UsageError
        The project's configuration is wrong.
    """

    def __init__(self, config: pytest.Config) -> None:
        try:
            chosen = config.getoption("notebooks_strategy")
            project = open_project(config.invocation_params.dir, strategy=chosen, build=True)
            self.project = _with_limit(project, config.getoption("notebooks_cell_timeout"))
            self._known = frozenset(find_notebooks(self.project.config))
        except EnvsolverError as error:
            raise _usage_error(error) from error
        self._finished: Run | None = None
        if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            config.args += [str(self.project.root / name) for name in sorted(self._known)]

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> NotebookModule | None:
        """Collect a notebook that the configuration names, or the command line."""
        if file_path.suffix != ".ipynb":
            return None
        wanted = shown_name(_relative(self.project, file_path)) in self._known or parent.session.isinitpath(file_path)
        return NotebookModule.from_parent(parent, path=file_path) if wanted else None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Give a notebook the marks that its tags and the configuration name."""
        if isinstance(item, NotebookItem):
            for mark in _marks(self.project, item.path):
                # A tag is no misspelt mark, which pytest can be told to refuse.
                item.config.addinivalue_line("markers", f"{mark}: of a notebook")
                item.add_marker(mark)

    @pytest.hookimpl(wrapper=True, trylast=True)  # within pytest-cov's, which combines its data at its end
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Let pytest run the other tests, then run the notebooks that were selected."""
        option = session.config.option
        if option.collectonly or getattr(option, "setuponly", False):
            return (yield)
        items = [item for item in session.items if isinstance(item, NotebookItem)]
        session.items = [item for item in session.items if not isinstance(item, NotebookItem)]
        answer = yield
        if items:
            self._run(session, items)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return answer

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the notebook's time in for that of its report."""
        report = yield
        if isinstance(item, NotebookItem) and item.result and item.result.status != "cached" and call.when == "call":
            report.duration = item.result.seconds
            report.start = report.stop - report.duration
        return report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the run's report is."""
        if self._finished is not None and REPORT not in self._finished.unwritten:
            terminalreporter.write_line(f"envsolver: {shown_path(self._finished.directory / REPORT)}")

    def _run(self, session: pytest.Session, items: Sequence[NotebookItem]) -> None:
        reporting = _Reporting(session, self.project, items)
        try:
            # A project's filters are for its own warnings, not for those of the libraries that run notebooks.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._finished, status = reporting.run()
        except EnvsolverError as error:
            raise _usage_error(error) from error
        if session.config.option.notebooks_overwrite and self._finished is not None:
            self._overwrite(self._finished, reporting)
        if status == InterruptedRunError.exit_code:
            raise KeyboardInterrupt

    def _overwrite(self, finished: Run, reporting: _Reporting) -> None:
        """Write outputs into the notebooks, now that no other one of them runs, which would see it."""
        for result in finished.results:
            if result.status == "passed":
                why = overwrite(self.project.root / result.notebook, finished.directory / result.executed)
                reporting.note(
                    f"{result.notebook} is left as it is: {why}" if why else f"{result.notebook} has new outputs"
                )


class _Reporting:
    """One run of notebooks, whose verdicts go to pytest one by one as they come: the run's `Progress`."""

    def __init__(self, session: pytest.Session, project: Project, items: Sequence[NotebookItem]) -> None:
        self._session = session
        self._project = project
        self._option = session.config.option
        self._waiting = {shown_name(_relative(project, item.path)): item for item in items}
        self._terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        for item in items:
            item.running, item.root = True, project.root

    def run(self) -> tuple[Run | None, int]:
        """Run the notebooks; return what `workflow.run` does, None when pytest skips all of them."""
        for item in [item for item in self._waiting.values() if _is_skipped(item)]:
            self._report(item, None)
        if not self._waiting or self._why_stop():
            return None, 0
        option, state = self._option, prepare_state(self._project.state)
        options = Options(
            patterns=tuple(_relative(self._project, item.path) for item in self._waiting.values()),
            workers=option.notebooks_workers,
            timeout=option.notebooks_timeout,
            rerun=option.notebooks_rerun,
            order="failed" if option.maxfail or getattr(option, "failedfirst", False) else None,
            stop=lambda _: self._why_stop(),
            directory=new_run_directory(state / RUNS),
            coverage=coverage_asked(self._session.config, self._project.root),
        )
        for item in self._waiting.values():
            item.directory = options.directory or Path()
        start = ParslPrestart()
        try:
            if options.rerun or not (state / history_name(self._project.config.strategy)).exists():
                start.begin()  # something will run, and Parsl needs a while
            finished, status = run(self._project, options, self, cwd=self._project.root, start=start)
        finally:
            start.stop()
            hand_over(self._session.config, options.directory)
        if status != InterruptedRunError.exit_code and not self._why_stop():
            for item in tuple(self._waiting.values()):
                self._report(item, None)
        return finished, status

    def note(self, text: str) -> None:
        """Say one line, unless pytest is to be quiet."""
        if self._terminal is not None and self._option.verbose >= 0:
            self._terminal.write_line(text)

    def begin(
        self, total: Mapping[str, int], workers: int, expected: float | None = None, pythons: Sequence[str] = ()
    ) -> None:
        """Pytest has said how many there are."""

    def started(self, job: Job, expected: float | None = None) -> None:
        """Pytest shows verdicts only."""

    def returned(self, job: Job) -> None:
        """Pytest shows verdicts only."""

    def block(self, block: Block) -> None:
        """Pytest runs notebooks on this machine."""

    def finished(self, result: Result) -> None:
        """Hand a verdict to pytest."""
        if result.notebook in self._waiting:
            self._report(self._waiting[result.notebook], result)

    def end(self) -> None:
        """Leave the rest to pytest."""

    def _why_stop(self) -> str:
        return str(self._session.shouldfail or self._session.shouldstop or "")

    def _report(self, item: NotebookItem, result: Result | None) -> None:
        item.result = result
        self._waiting = {name: other for name, other in self._waiting.items() if other is not item}
        following = next(iter(self._waiting.values()), None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _is_skipped(item: pytest.Item) -> bool:
    """Whether pytest will not run an item, by a mark that it has from the configuration or a project's own hooks."""
    try:
        xfail = evaluate_xfail_marks(item)
        not_run = xfail is not None and not xfail.run and not item.config.option.runxfail
        return not_run or evaluate_skip_marks(item) is not None
    except pytest.fail.Exception:
        return True  # its condition is wrong, which pytest says when it comes to it


def _with_limit(project: Project, seconds: float | None) -> Project:
    """Return a project whose cells have a limit of their own; None for what the configuration says."""
    if seconds is None:
        return project
    if not 0 < seconds < math.inf:
        raise pytest.UsageError(f"--notebooks-cell-timeout: {seconds} is no number of seconds above 0")
    config = project.config
    return replace(project, config=replace(config, cell_timeout=seconds, timeout=max(config.timeout, seconds)))


def _usage_error(error: EnvsolverError) -> pytest.UsageError:
    return pytest.UsageError("\n".join(filter(None, [f"--notebooks: {error.message}", error.tip])))


def _relative(project: Project, path: Path) -> str:
    """Return a notebook's path relative to the project's root, whatever links lead to its folder."""
    return Path(os.path.relpath(path.parent.resolve() / path.name, project.root)).as_posix()


def _marks(project: Project, path: Path) -> Iterator[str]:
    """Yield the marks of a notebook: its tags, those of its cells, and what the configuration adds."""
    tags: set[str] = set()
    try:
        file = read_notebook_file(path)
    except UnusableNotebookError:
        pass  # the run says what is wrong with it
    else:
        own = file.metadata.get("tags")
        tags.update(tag for tag in (own if isinstance(own, list) else ()) if isinstance(tag, str))
        tags.update(tag for cell in file.cells for tag in cell.tags)
    yield from sorted(tag for tag in tags if tag not in BUILT_IN and tag[:1].isalpha())
    yield from settings_for(project.config, shown_name(_relative(project, path))).marks or ()
