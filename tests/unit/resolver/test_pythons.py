"""Pythons are the default, those named, or the whole matrix; what is missing is said."""

from __future__ import annotations

import pytest
from fakes import some_python

from envsolver.core.errors import ConfigurationError
from envsolver.resolver.pythons import choose_pythons, why_unsupported

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
    assert [python.request for python in choose_pythons(asked, MATRIX, some_python).interpreters] == chosen


def test_a_python_of_the_whole_matrix_that_is_missing_is_left_out_with_the_reason() -> None:
    assert choose_pythons(["all"], MATRIX, some_python).left_out == (("3.14", "no Python 3.14 was found"),)


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        (["3.14", "3.15", "3.11"], ("no Python 3.14 was found", "no Python 3.15 was found")),
        (["3.14", "all"], ("no Python 3.14 was found",)),
    ],
)
def test_a_python_that_was_named_and_is_missing_is_an_error(asked: list[str], faults: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose_pythons(asked, MATRIX, some_python)
    assert caught.value.faults == faults
    assert caught.value.tip == "install it"


def test_a_matrix_of_which_nothing_is_there_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"no Python 3\.14 was found"):
        choose_pythons(["all"], ["3.14"], some_python)


@pytest.mark.parametrize(
    ("requires_python", "said"),
    [
        (None, ""),
        (">=3.10", ""),
        (">=3.12", "group ml needs Python >=3.12, and this is Python 3.11.1"),
    ],
)
def test_a_python_that_is_not_supported_is_said(requires_python: str | None, said: str) -> None:
    assert why_unsupported("group ml", requires_python, some_python("3.11")) == said
