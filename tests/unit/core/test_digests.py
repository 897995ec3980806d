"""A digest tells texts apart, whatever they hold."""

from __future__ import annotations

import pytest

from envsolver.core.digests import digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        (["a"], ["a", ""]),
        (["a", "b"], ["b", "a"]),
        (["\ud800"], ["\ud801"]),
        (["\udc80"], ["\x80"]),
    ],
)
def test_different_texts_have_different_digests(one: list[str], other: list[str]) -> None:
    assert digest(one) != digest(other)


def test_a_digest_is_the_same_in_every_process() -> None:
    assert digest(["a", "ü"]) == "a2de24653fe0173372160f3db23fd2a80b7808c020cb6595a2af8cf24990be58"
