"""Promise: after a void attempt the next kernel has ahead what was there before, and no part of the cause."""

from __future__ import annotations

import pytest

from envsolver.core.results import Result
from envsolver.worker.run_job import _after_void, modules_before

LOADED = ("numpy=n", "torch.part", "torch", "helper", "late.inner", "late", "last")


@pytest.mark.parametrize(
    ("name", "led_to", "kept"),
    [
        ("late", {"late", "late.inner"}, ("numpy=n", "torch.part", "torch", "helper")),
        ("late", {"late", "helper"}, ("numpy=n", "torch.part", "torch", "late.inner")),
        ("torch", {"torch", "torch.part"}, ("numpy=n",)),
        ("numpy", {"numpy"}, ()),
        ("built in", {"late.inner"}, ("numpy=n", "torch.part", "torch", "helper")),
        ("built in", set(), ()),
    ],
)
def test_what_ended_before_the_cause_and_does_not_come_with_it_is_kept(
    name: str, led_to: set[str], kept: tuple[str, ...]
) -> None:
    assert modules_before(name, led_to, LOADED) == kept


@pytest.mark.parametrize("void", ["", "forged", "\n", "a reason\nlate\nlate"])
def test_whatever_stands_where_a_kernel_tells_the_cause_a_cold_kernels_verdict_counts(void: str) -> None:
    cold = Result(notebook="a.ipynb", group="g", python="3.11", environment="e", status="failed", modules=LOADED)
    assert _after_void(cold, cold, void).status == "failed"
