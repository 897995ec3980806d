"""Promise: each Kubernetes object that a page shows is one, by the published schemas."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kube_api import VERSION
from shown_pages import PAGES, blocks, name_of

from envsolver.run.parsl.kubernetes_api import RIGHTS

KIND = Path(__file__).parents[2] / "kind"


def _objects() -> list[tuple[str, dict[str, Any]]]:
    shown = [(name_of(page), text) for page in PAGES for language in ("yaml", "yml") for text in blocks(page, language)]
    loaded = [(name, each) for name, text in shown for each in yaml.safe_load_all(text)]
    return [(name, each) for name, each in loaded if isinstance(each, dict) and {"apiVersion", "kind"} & each.keys()]


OBJECTS = _objects()


@pytest.mark.parametrize(("page", "shown"), OBJECTS, ids=[f"{page}-{shown.get('kind')}" for page, shown in OBJECTS])
def test_what_a_page_shows_is_valid(page: str, shown: dict[str, Any]) -> None:
    assert page
    kubernetes_validate.validate(shown, VERSION, strict=True)


def _role(objects: Iterable[dict[str, Any]]) -> dict[str, set[str]]:
    (role,) = (each for each in objects if each["kind"] == "Role")
    return {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}


def test_the_role_that_is_shown_and_the_one_that_is_tried_are_what_a_run_asks_for() -> None:
    asked = {resource: set(verbs) for resource, verbs in RIGHTS.items()}
    assert _role(shown for page, shown in OBJECTS if page == "docs/clusters.md") == asked
    assert _role(yaml.safe_load_all((KIND / "controller.yaml").read_text())) == asked


def test_the_job_of_an_array_is_among_them() -> None:
    assert ("docs/job-arrays.md", "Job") in [(page, shown["kind"]) for page, shown in OBJECTS]
