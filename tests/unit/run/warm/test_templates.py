"""Promise: what an earlier run wrote down of a template is of use as far as it is sound, and never an error."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes import job

from envsolver.core.environments import Environment
from envsolver.run.warm.plan import BASE, NodeSpec, TemplateSpec, WarmPlan
from envsolver.run.warm.templates import Templates

SOUND = {"modules": ["numpy"], "environ": {"A": "1"}, "patterns": []}


def specification(told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Start a template of which `told` is known, and return what it is told of that."""
    started: list[dict[str, Any]] = []

    class FakeTemplate:
        stdin = None
        pid = -1

        def __init__(self, command: list[str], **_: object) -> None:
            started.append(json.loads(Path(command[-1]).read_text(encoding="utf-8")))

    monkeypatch.setattr(subprocess, "Popen", FakeTemplate)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    node = NodeSpec(id=BASE, parent=None, modules=(), allowed=(), eager=True)
    spec = TemplateSpec(key="t", group="core", python="3.11", environment="e", job=job(), nodes=(node,))
    templates = Templates(WarmPlan(templates=(spec,), serves={}), run_id="r" * 32, logs=tmp_path, facts={"e": told})
    templates.start(spec, Environment(key="e", group="core", python="3.11", prefix=tmp_path))
    return started[0]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="templates listen on sockets with a path")
@pytest.mark.parametrize(
    ("told", "baseline", "excluded"),
    [
        (json.dumps({"baseline": SOUND, "excluded": ["torch"]}), SOUND, ["torch"]),
        ("", None, []),
        ('{"baseline": {"mod', None, []),
        ("[]", None, []),
        ("[" * 100_000, None, []),
        (json.dumps({"baseline": {"modules": 3, "environ": {}}, "excluded": ["torch"]}), None, ["torch"]),
        (json.dumps({"baseline": {**SOUND, "environ": {"A": 1}}, "excluded": "torch"}), None, []),
        (json.dumps({"baseline": SOUND, "excluded": [1]}), SOUND, []),
    ],
    ids=["sound", "nothing", "cut", "list", "deep", "modules", "environ and excluded", "excluded"],
)
def test_what_is_damaged_is_found_out_anew(
    told: str, baseline: object, excluded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = specification(told, tmp_path, monkeypatch)
    assert (spec["baseline"], spec["excluded"]) == (baseline, excluded)
