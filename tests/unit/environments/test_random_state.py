"""Promise: what an import drew from the system is drawn afresh in each kernel, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from envsolver.environments.in_environment.random_state import RandomState


@pytest.fixture
def state() -> Iterator[RandomState]:
    before = random.getstate()
    made = RandomState()
    made.watch()
    yield made
    made.unwatch()
    random.setstate(before)


def test_a_generator_that_the_system_seeded_draws_afresh(state: RandomState) -> None:
    own = random.Random()  # noqa: S311  # not for secrets
    before = own.getstate()
    state.unwatch()
    state.renew()
    assert own.getstate() != before


@pytest.mark.parametrize("late", [False, True], ids=["when made", "later"])
def test_a_generator_with_a_seed_keeps_it(state: RandomState, late: bool) -> None:
    own = random.Random() if late else random.Random(7)  # noqa: S311  # not for secrets
    if late:
        own.seed(7)
    state.unwatch()
    state.renew()
    assert own.random() == random.Random(7).random()  # noqa: S311  # not for secrets


def test_what_was_made_before_is_left_alone() -> None:
    own = random.Random()  # noqa: S311  # not for secrets
    before = own.getstate()
    state = RandomState()
    state.watch()
    state.unwatch()
    state.renew()
    assert own.getstate() == before


def test_watching_leaves_no_trace() -> None:
    before = random.Random.seed
    state = RandomState()
    state.watch()
    assert random.Random.seed is not before
    state.unwatch()
    assert random.Random.seed is before


def test_a_draw_from_the_global_generator_shows(state: RandomState) -> None:
    before = state.state()
    assert state.state() == before
    random.random()  # noqa: S311  # not for secrets
    assert state.state() != before
