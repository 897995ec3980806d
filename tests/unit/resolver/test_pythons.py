"""Pythons are the default, those named, or the whole matrix; what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from envsolver.core.environments import Interpreter
from envsolver.core.errors import ConfigurationError
from envsolver.environments.uv import Uv
from envsolver.resolver.pythons import choose_pythons, why_unsupported


class FakeUv(Uv):
    """Knows Pythons 3.10 to 3.12."""

    def __init__(self) -> None:
        super().__init__(Path())

    def find_interpreter(self, request: str, *, download: bool | None = None) -> Interpreter:
        minor = {"3.10.13": "3.10"}.get(request, request)
        if minor not in {"3.10", "3.11", "3.12"}:
            raise ConfigurationError([f"no Python {request} was found"], tip="install it")
        return Interpreter(request=request, executable=f"/bin/{minor}", version=f"{minor}.1", platform="cpython-x")


MATRIX = ("3.11", "3.10", "3.14", "3.12")


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ((), ["3.11"]),
        (("3.12",), ["3.12"]),
        (("3.12", "3.10", "3.12"), ["3.12", "3.10"]),
        (("all",), ["3.11", "3.10", "3.12"]),
        (("3.12", "all"), ["3.12", "3.11", "3.10"]),
        (("3.10", "3.10.13"), ["3.10"]),
    ],
)
def test_the_pythons_of_a_run(asked: tuple[str, ...], chosen: list[str]) -> None:
    assert [python.request for python in choose_pythons(asked, MATRIX, FakeUv()).interpreters] == chosen


def test_a_python_of_the_whole_matrix_that_is_missing_is_left_out_with_the_reason() -> None:
    assert choose_pythons(["all"], MATRIX, FakeUv()).left_out == (("3.14", "no Python 3.14 was found"),)


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        (["3.14", "3.15", "3.11"], ("no Python 3.14 was found", "no Python 3.15 was found")),
        (["3.14", "all"], ("no Python 3.14 was found",)),
    ],
)
def test_a_python_that_was_named_and_is_missing_is_an_error(asked: list[str], faults: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose_pythons(asked, MATRIX, FakeUv())
    assert caught.value.faults == faults
    assert caught.value.tip == "install it"


def test_a_matrix_of_which_nothing_is_there_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"no Python 3\.14 was found"):
        choose_pythons(["all"], ["3.14"], FakeUv())


@pytest.mark.parametrize(
    ("requires_python", "said"),
    [
        (None, ""),
        (">=3.10", ""),
        (">=3.12", "group ml needs Python >=3.12, and this is Python 3.11.1"),
    ],
)
def test_a_python_that_is_not_supported_is_said(requires_python: str | None, said: str) -> None:
    assert why_unsupported("group ml", requires_python, FakeUv().find_interpreter("3.11")) == said
