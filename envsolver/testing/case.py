"""The base class of test files: one notebook as a `unittest` test, in its group's environment.

A test file is thin, and runs with pytest and with unittest, on any interpreter that envsolver is installed for::

    from envsolver.testing import NotebookTestCase


    class TestQuickstart(NotebookTestCase):
        notebook = "demos/core/quickstart.ipynb"

        def test_estimate(self) -> None:
            self.assertAlmostEqual(self.value("estimate"), 1.8, places=2)

The notebook runs once per class, in this process and without Parsl, when the first test asks for it.
"""

from __future__ import annotations

import difflib
import functools
import os
import sys
import unittest
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from envsolver.config.load import find_root
from envsolver.core.errors import EnvsolverError
from envsolver.core.results import Result
from envsolver.report.formatting import printable, strip_ansi
from envsolver.report.text import failure_lines
from envsolver.run.project import open_project
from envsolver.testing.files import SETTINGS
from envsolver.testing.generate import with_settings
from envsolver.testing.single_run import fresh_directory, run_notebook

# Runners leave the frames of a module that says this out of a failure's traceback.
__unittest = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseOutcome:
    """What a class's notebook came to: its result, or why there is none."""

    result: Result | None = None
    directory: Path = Path()
    error: EnvsolverError | None = None


class _SubclassesOnly:
    """Show a test method in subclasses alone, so that no runner collects the base class itself."""

    def __init__(self, method: Callable[..., None]) -> None:
        self._method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]  # only its name and text are wanted

    def __get__(self, instance: object, owner: type) -> Any:
        return None if owner is NotebookTestCase else self._method.__get__(instance, owner)


class NotebookTestCase(unittest.TestCase):
    """One notebook as a test. A subclass names it, and may say more about it.

    The attributes mean what they mean in the configuration's table of one notebook, and win over it.

    Attributes
    ----------
    notebook
        Path relative to the project's root, with forward slashes.
    skip
        The reason why the notebook is not run.
    replace
        Text to replace in code cells, and by what.
    timeout, cell_timeout
        Seconds for the whole notebook and for one cell.
    stop_at
        The first code cell that holds this text, and all after it, are not run.
    skip_cells
        Code cells that hold one of these texts are not run.
    parameters
        Values assigned right after the cell tagged ``parameters``, or before the first cell where none is.
    group
        The group that it runs in.
    cores, memory, env, requires_python
        CPU cores, memory limit such as ``"4GiB"``, environment variables, versions of Python that it supports.
    warnings
        Filters of warnings in pytest's syntax.
    before
        File of code that runs in the kernel before the first cell.
    marks
        Marks that the notebook has with ``pytest --notebooks``.
    cache
        Whether ``envsolver run`` may take a pass for known: ``"always"`` or ``"never"``. Alone, the test always runs.
    """

    notebook: ClassVar[str] = ""
    skip: ClassVar[str | None] = None
    replace: ClassVar[Mapping[str, str] | None] = None
    timeout: ClassVar[float | None] = None
    cell_timeout: ClassVar[float | None] = None
    stop_at: ClassVar[str | None] = None
    skip_cells: ClassVar[Sequence[str] | None] = None
    parameters: ClassVar[Mapping[str, bool | int | float | str | None] | None] = None
    group: ClassVar[str | None] = None
    cores: ClassVar[int | None] = None
    memory: ClassVar[str | int | None] = None
    env: ClassVar[Mapping[str, str] | None] = None
    requires_python: ClassVar[str | None] = None
    before: ClassVar[str | None] = None
    warnings: ClassVar[Sequence[str] | None] = None
    marks: ClassVar[Sequence[str] | None] = None
    cache: ClassVar[str | None] = None

    @_SubclassesOnly
    def test_notebook(self) -> None:
        """The notebook runs from its first cell to its last."""
        outcome = self._ran()
        if outcome.result is None or not outcome.result.good:
            _fail(self._failure_text(outcome))

    @property
    def result(self) -> Result:
        """The notebook's result; running it first if no test of the class has done so.

        Fails the test when there is none, and skips it when the notebook is skipped.
        """
        outcome = self._ran()
        if outcome.result is None:
            _fail(self._failure_text(outcome))
        return outcome.result

    def value(self, name: str) -> Any:
        """Return a variable of the executed notebook, as it was after the last cell.

        Numbers (NumPy's too), texts, None, and lists and tables of them come as Python's own; tuples and arrays come
        as lists. Fails the test when the notebook did not pass, when there is no such variable, or when it is
        something else or too large.
        """
        result = self.result
        if not result.good:
            self.fail(printable(f"{self.notebook} did not pass: {strip_ansi(result.reason)}"))
        if result.values is None:
            self.fail(f"the variables of {self.notebook} are not known: it ended its kernel itself")
        if name in result.values:
            return result.values[name]
        if name in result.value_faults:
            self.fail(f"`{name}` of {self.notebook} {result.value_faults[name]}")
        near = difflib.get_close_matches(name, [*result.values, *result.value_faults], n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise self.failureException(f"{self.notebook} has no variable `{name}` at its end{hint}")

    @classmethod
    def _ran_for_class(cls) -> CaseOutcome:
        """Run the notebook once for all tests of the class."""
        if "_kept_run" not in cls.__dict__:
            try:
                # A project's filters are for its own warnings, not for those of the libraries that run the notebook.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    outcome = cls._run()
            except EnvsolverError as error:
                outcome = CaseOutcome(error=error)
            cls._kept_run = outcome  # type: ignore[attr-defined]  # set here alone, and never inherited
        kept: CaseOutcome = cls.__dict__["_kept_run"]
        return kept

    @classmethod
    def _run(cls) -> CaseOutcome:
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        project = open_project(find_root(Path(file) if file else Path.cwd()), build=True)
        given = {name: value for name in SETTINGS if (value := getattr(cls, name)) is not None}
        project = replace(project, config=with_settings(project.config, cls.notebook, given, owner=cls.__qualname__))
        if not (project.root / cls.notebook).is_file():
            raise EnvsolverError(f"there is no such notebook in {project.root}")
        directory = fresh_directory(project, cls.notebook)
        return CaseOutcome(result=run_notebook(project, cls.notebook, directory), directory=directory)

    def _ran(self) -> CaseOutcome:
        if not self.notebook:
            _fail(f'{type(self).__qualname__} names no notebook: set `notebook = "path/from/the/root.ipynb"`')
        if self.skip is not None:
            if not str(self.skip).strip() or not isinstance(self.skip, str):
                _fail(f"{type(self).__qualname__} is skipped without a reason: `skip` must say why")
            self.skipTest(self.skip)
        outcome = self._ran_for_class()
        if outcome.result is not None and outcome.result.status == "skipped":
            self.skipTest(printable(strip_ansi(outcome.result.reason)))
        return outcome

    def _failure_text(self, outcome: CaseOutcome) -> str:
        if outcome.result is not None:
            return "\n".join(failure_lines(outcome.result, outcome.directory))
        error = outcome.error or EnvsolverError("there is no result")
        return "\n".join(filter(None, [f"{self.notebook}: {error.message}", error.tip]))


def _fail(message: str) -> NoReturn:
    """Fail the test with a message that stands alone: the frames that lead here say nothing about the notebook."""
    message = printable(message)
    pytest = sys.modules.get("pytest")
    if pytest is not None and "PYTEST_CURRENT_TEST" in os.environ:
        pytest.fail(message, pytrace=False)
    raise AssertionError(message)
