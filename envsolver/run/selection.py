"""Which of the notebooks that were asked for a run takes: what failed last, and what an expression names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from envsolver.core.environments import Assignment
from envsolver.core.errors import ConfigurationError
from envsolver.core.verdicts import GOOD
from envsolver.run.history import Record

_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
_WORDS = {"and", "or", "not", "(", ")"}


def failed_last(assignments: Sequence[Assignment], records: Iterable[Record]) -> tuple[Assignment, ...]:
    """Return the assignments that did not pass the last time, on any Python version; all when none is known to."""
    failed = {(record.notebook, record.group) for record in records if record.last not in GOOD}
    return tuple(a for a in assignments if (a.notebook, a.group) in failed) or tuple(assignments)


def parse_expression(text: str) -> Callable[[Assignment], bool]:
    """Return what tells whether an expression such as ``core and not (slow or gpu)`` names an assignment.

    A word names the assignments in whose notebook's path or group it occurs, in upper or lower case.

    Raises
    ------
    ConfigurationError
        It is no expression.
    """
    return _Expression(text).parse()


_Rule = Callable[[str], bool]


class _Expression:
    """A parser by recursive descent: ``or`` binds weakest, ``not`` strongest."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)
        self._place = 0

    def parse(self) -> Callable[[Assignment], bool]:
        rule = self._any()
        if self._next():
            raise self._fault("an operator")
        return lambda assignment: rule(f"{assignment.notebook}\n{assignment.group or ''}".lower())

    def _any(self) -> _Rule:
        rules = [self._all()]
        while self._takes("or"):
            rules.append(self._all())
        return lambda name: any(rule(name) for rule in rules)

    def _all(self) -> _Rule:
        rules = [self._one()]
        while self._takes("and"):
            rules.append(self._one())
        return lambda name: all(rule(name) for rule in rules)

    def _one(self) -> _Rule:
        if self._takes("not"):
            rule = self._one()
            return lambda name: not rule(name)
        if self._takes("("):
            rule = self._any()
            if not self._takes(")"):
                raise self._fault("a closing parenthesis")
            return rule
        word = self._next()
        if not word or word in _WORDS:
            raise self._fault("a part of a name")
        self._place += 1
        return lambda name: word.lower() in name

    def _next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _takes(self, token: str) -> bool:
        taken = self._next() == token
        self._place += taken
        return taken

    def _fault(self, wanted: str) -> ConfigurationError:
        found = repr(self._next()) if self._next() else "the end"
        return ConfigurationError([f"-k {self._text!r}: {wanted} was expected, and {found} found"])
