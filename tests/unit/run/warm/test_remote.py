"""Promise: nodes are told what to start, jobs which template serves them, and what was found out comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import job

from envsolver.core.environments import Environment
from envsolver.core.jobs import WarmStart
from envsolver.run.warm.plan import BASE, NodeSpec, Served, TemplateSpec, WarmPlan
from envsolver.run.warm.remote import RemoteTemplates, order_file, start_templates

KEY = "0123456789abcdef"


@pytest.fixture
def templates(tmp_path: Path) -> RemoteTemplates:
    served = job("a")
    spec = TemplateSpec(
        key="t0", group=served.group, python=served.python, environment=KEY, job=served, nodes=(NodeSpec(id=BASE),)
    )
    plan = WarmPlan(templates=(spec,), serves={served.id: Served("t0", BASE)})
    return RemoteTemplates(plan, directory=tmp_path, facts={})


def test_a_job_is_told_its_template_unless_it_starts_cold(templates: RemoteTemplates) -> None:
    served = job("a")
    assert templates.path_for(served) == f"t0/{BASE}"
    assert templates.path_for(replace(served, warm_start=WarmStart(cold=True))) == ""
    assert templates.path_for(job("b")) == ""


def test_what_nodes_were_told_is_removed_at_the_end(templates: RemoteTemplates, tmp_path: Path) -> None:
    served = job("a")
    environment = Environment(key=KEY, group=served.group, python=served.python, prefix=tmp_path / "env")
    templates.start_for(served.group, served.python, environment)
    assert order_file(tmp_path, KEY).exists()
    templates.stop()
    assert list(tmp_path.iterdir()) == []


def test_facts_of_all_nodes_are_read_and_damaged_ones_left_out(templates: RemoteTemplates, tmp_path: Path) -> None:
    (tmp_path / "one.facts").write_text('{"k": "{}"}')
    (tmp_path / "two.facts").write_text('{"k')
    assert templates.template_facts() == {"k": "{}"}


def test_a_node_without_an_order_starts_nothing(tmp_path: Path) -> None:
    assert start_templates(order_file(tmp_path, KEY), "mark", lambda job: job) is None
