"""Promise: a template holds a module only if every notebook that it serves loads that module by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import job
from hypothesis import given
from hypothesis import strategies as st

from envsolver.core.environments import Target
from envsolver.core.jobs import Binding, Edits, Job, KernelHistory, Limits, WarmStart
from envsolver.core.notebooks import Import, Notebook, Origin
from envsolver.core.results import NOTHING, Result
from envsolver.run.history import History
from envsolver.run.warm.leading_imports import leading_imports
from envsolver.run.warm.plan import BASE, NodeSpec, Served, WarmPlan, plan_templates, without_spoilt

KEYS = {("core", "3.11"): "k"}


def many(prefix: str, count: int = 100) -> tuple[str, ...]:
    return tuple(f"{prefix}.m{number}" for number in range(count))


def plan(jobs: list[Job], known: dict[str, KernelHistory] | None = None, **options: object) -> WarmPlan:
    notebooks = {j.notebook: Notebook(path=j.notebook) for j in jobs}
    values: dict[str, object] = {
        "keys": KEYS, "known": known or {}, "workers": 1, "platform": "linux", "notebooks": notebooks
    }  # fmt: skip
    return plan_templates(jobs, **{**values, **options})  # type: ignore[arg-type]


def held(found: WarmPlan, name: str) -> set[str]:
    """Return all modules that the node which serves a job holds, its parents' included."""
    key, node_id = found.serves[name]
    nodes = {node.id: node for node in next(t for t in found.templates if t.key == key).nodes}
    modules: set[str] = set()
    node: NodeSpec | None = nodes[node_id]
    while node is not None:
        modules |= set(node.modules)
        node = nodes[node.parent] if node.parent else None
    return modules


def test_a_single_job_needs_no_template() -> None:
    assert plan([job("a")]).templates == ()


def test_jobs_that_share_nothing_share_what_every_kernel_loads() -> None:
    found = plan([job("a"), job("b")])
    assert [node.id for node in found.templates[0].nodes] == [BASE]
    assert found.serves == {"a": ("t0", BASE), "b": ("t0", BASE)}


def test_what_may_have_nothing_ahead_is_forked_from_what_every_kernel_loads() -> None:
    known = {name: KernelHistory(modules=(NOTHING,) if name == "c" else many("numpy")) for name in "abc"}
    found = plan([job(name) for name in "abc"], known)
    assert found.serves["c"].node == BASE
    assert held(found, "a") == held(found, "b") == {*many("numpy")}


def test_what_two_notebooks_share_is_held_for_both_and_nothing_else() -> None:
    known = {
        "a": KernelHistory(modules=("first", *many("numpy"), *many("torch"))),
        "b": KernelHistory(modules=(*many("numpy"), *many("scipy"))),
        "c": KernelHistory(modules=(*many("scipy", 20),)),
    }
    found = plan([job("a"), job("b"), job("c")], known)
    assert held(found, "a") == set(many("numpy"))
    assert held(found, "b") == set(many("numpy"))
    assert held(found, "c") == set()


def test_a_node_below_a_node_holds_more() -> None:
    known = {
        **{name: KernelHistory(modules=many("numpy")) for name in "ab"},
        **{name: KernelHistory(modules=many("numpy") + many("torch", 500)) for name in "cd"},
    }
    found = plan([job(name) for name in "abcd"], known)
    assert held(found, "a") == set(many("numpy"))
    assert held(found, "d") == set(many("numpy") + many("torch", 500))
    assert [node.parent for node in found.templates[0].nodes] == [None, BASE, "n1"]


def spoilt(jobs: str, kept: tuple[str, ...], waiting: str) -> tuple[WarmPlan, dict[str, Served]]:
    """Plan a template anew after a void attempt of the job ``d``, and return it with whom it serves from then on."""
    torch = many("numpy") + many("torch", 500)
    known = {name: KernelHistory(modules=many("numpy") if name in "ab" else torch) for name in jobs}
    found = plan([job(name) for name in jobs], known)
    serves = {name: found.serves[name] for name in waiting + "d"}
    revised, moved = without_spoilt(found.templates[0], serves, "d", kept)
    return WarmPlan(templates=() if revised is None else (revised,), serves=moved), moved


def test_after_a_void_attempt_those_that_wait_have_what_came_before_its_cause() -> None:
    before = many("numpy") + many("torch", 40)
    found, moved = spoilt("abcdef", before, "bef")
    assert moved.keys() == {"e", "f"}
    assert held(found, "e") == held(found, "f") == set(before)
    assert [node.allowed for node in found.templates[0].nodes][-1] == tuple(sorted(before))
    assert found.templates[0].key != "t0"


def test_where_nothing_new_is_to_be_had_ahead_a_node_that_is_up_serves_them() -> None:
    assert spoilt("abcdef", many("numpy"), "bef") == (
        WarmPlan(serves={"e": Served("t0", "n1"), "f": Served("t0", "n1")}),
        {"e": Served("t0", "n1"), "f": Served("t0", "n1")},
    )


def test_one_that_waits_is_worth_no_template_of_its_own() -> None:
    found, moved = spoilt("abcde", many("numpy") + many("torch", 40), "ae")
    assert (found.templates, moved) == ((), {"e": Served("t0", "n1")})


def test_where_all_may_be_had_ahead_each_stays_where_it_is() -> None:
    assert spoilt("abcdef", many("numpy") + many("torch", 500), "bef")[1] == {}


def test_modules_are_imported_in_the_order_in_which_the_notebook_did() -> None:
    names = ("zebra", *many("numpy"), "ant")
    found = plan([job("a"), job("b")], {name: KernelHistory(modules=names) for name in "ab"})
    assert found.templates[0].nodes[1].modules == names
    assert found.templates[0].nodes[1].allowed == tuple(sorted(names))


def test_what_is_needed_first_is_made_first() -> None:
    known = {name: KernelHistory(modules=many("numpy" if name in "ab" else "torch")) for name in "abcd"}
    found = plan([job(name) for name in "cabd"], known)
    assert {node.modules[:1]: node.eager for node in found.templates[0].nodes} == {
        (): True,
        ("torch.m0",): True,
        ("numpy.m0",): False,
    }


@given(st.lists(st.sets(st.integers(0, 12)), min_size=2, max_size=8))
def test_no_job_ever_finds_a_module_that_it_does_not_load(sets: list[set[int]]) -> None:
    known = {
        f"j{n}": KernelHistory(modules=("own", *(m for number in sorted(chosen) for m in many(f"p{number}", 40))))
        for n, chosen in enumerate(sets)
    }
    found = plan([job(name) for name in known], known)
    for name, entry in known.items():
        assert held(found, name) <= set(entry.modules)


@pytest.mark.parametrize("why", ["cold", "known cold", "other system", "no environment"])
def test_a_job_that_must_start_cold_has_no_template(why: str) -> None:
    jobs = [job("a"), job("b"), job("c", warm_start=WarmStart(cold=why == "cold"))]
    found = plan(
        jobs,
        {"c": KernelHistory(cold=why == "known cold")},
        platform="darwin" if why == "other system" else "linux",
        keys={} if why == "no environment" else KEYS,
    )
    assert "c" not in found.serves


def test_jobs_that_see_other_variables_have_other_templates() -> None:
    other = Binding(env={"X": "1"})
    jobs = [job("a"), job("b"), job("c", binding=other), job("d", binding=other), job("e", limits=Limits(cores=2))]
    found = plan(jobs)
    assert {name: key for name, (key, _) in found.serves.items()} == {"a": "t0", "b": "t0", "c": "t1", "d": "t1"}


def test_what_is_remembered_of_a_notebook_says_nothing_of_its_edited_copy() -> None:
    known = {name: KernelHistory(modules=many("numpy")) for name in "abc"}
    found = plan([job("a"), job("b"), job("c", edits=Edits(replace={"x": "y"}))], known)
    assert held(found, "a") == set(many("numpy"))
    assert held(found, "c") == set()


# Leading imports


def leading(
    tmp_path: Path, *cells: str | tuple[str, list[str]], edits: Edits | None = None, **options: object
) -> list[str]:
    made = [
        {"cell_type": "code", "source": cell if isinstance(cell, str) else cell[0],
         "metadata": {"tags": [] if isinstance(cell, str) else cell[1]}}
        for cell in cells
    ]  # fmt: skip
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": made}), encoding="utf-8")
    origin = Origin(path="a.ipynb", cell=1, line=1)
    imports = tuple(Import(module=name, origin=origin) for name in ("numpy", "scipy", "torch", "matplotlib.pyplot"))
    notebook = Notebook(path="a.ipynb", imports=(*imports, Import(module="rich", origin=origin, optional=True)))
    return list(leading_imports(tmp_path, notebook, edits or Edits()))


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["import numpy as np\nimport scipy"], ["numpy", "scipy"]),
        (["from scipy import stats, special"], ["scipy", "scipy:stats", "scipy:special"]),
        (["%matplotlib inline\nimport matplotlib.pyplot as plt"], ["matplotlib.pyplot"]),
        (["%matplotlib inline", "# imports", "!pip install rich && ./prepare", "import numpy"], ["numpy"]),
        (["import numpy\n", "x = 1\ndef f(): pass", "import torch"], ["numpy"]),
        (["import numpy\nnumpy.seterr(all='raise')\nimport torch"], ["numpy", "torch"]),
        (["import torch\ntorch.set_default_dtype(torch.float64)", "import scipy"], ["torch", "scipy"]),
        (["import os\nos.environ['X'] = '1'\nimport numpy"], ["numpy"]),
        (["if True:\n    import torch"], []),
        (["def f():\n    import torch"], []),
        (["try:\n    import torch\nexcept ImportError:\n    pass", "import numpy"], ["torch", "numpy"]),
        (["try:\n    import rich\nexcept ModuleNotFoundError:\n    !pip install rich\n    import rich"], ["rich"]),
        (["try:\n    import local\nexcept ImportError:\n    pass"], []),
        (["import rich, local, json"], []),
        (["this is no python", "import numpy"], []),
        ([("import numpy", ["skip-execution"]), "import scipy"], ["scipy"]),
        (["import numpy", ("import scipy", ["raises-exception"])], ["numpy"]),
        (["from numpy import *"], ["numpy"]),
    ],
)
def test_what_a_template_is_worth_having_is_what_the_first_cells_import(
    cells: list[str | tuple[str, list[str]]], found: list[str], tmp_path: Path
) -> None:
    assert leading(tmp_path, *cells) == found


def test_a_cell_that_is_edited_is_no_leading_one(tmp_path: Path) -> None:
    assert leading(tmp_path, "import numpy", "import scipy", edits=Edits(replace={"scipy": "numpy"})) == ["numpy"]
    assert leading(tmp_path, "import numpy", "import scipy", edits=Edits(stop_at="scipy")) == ["numpy"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [1]}', '{"cells": [{"cell_type": "code"}]}'])
def test_of_a_broken_file_nothing_leads(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(text, encoding="utf-8")
    assert leading_imports(tmp_path, Notebook(path="a.ipynb"), Edits()) == ()
    assert leading_imports(tmp_path, Notebook(path="missing.ipynb"), Edits()) == ()


def test_seen_and_unseen_notebooks_share_what_both_surely_load(tmp_path: Path) -> None:
    leading(tmp_path, "from scipy import stats")
    origin = Origin(path="a.ipynb")
    notebooks = {
        "a.ipynb": Notebook(path="a.ipynb", imports=(Import(module="scipy", origin=origin),)),
        "b.ipynb": Notebook(path="b.ipynb"),
    }
    jobs = [job("a", root=str(tmp_path)), job("b", root=str(tmp_path))]
    known = {"b": KernelHistory(modules=("scipy", "scipy.stats", *many("torch")))}
    found = plan(jobs, known, notebooks=notebooks)
    assert held(found, "a") == {"scipy", "scipy:stats"}
    assert found.templates[0].nodes[1].allowed == tuple(sorted(known["b"].modules))


def test_of_what_first_cells_import_that_is_left_out_before_which_an_attempt_was_void(tmp_path: Path) -> None:
    leading(tmp_path, "from scipy import stats\nimport torch")
    origin = Origin(path="a.ipynb")
    imports = tuple(Import(module=name, origin=origin) for name in ("scipy", "torch"))
    jobs = [job(name, root=str(tmp_path), notebook="a.ipynb") for name in "abc"]
    found = plan(jobs, notebooks={"a.ipynb": Notebook(path="a.ipynb", imports=imports)})
    assert held(found, "a") == {"scipy", "scipy:stats", "torch"}
    revised, moved = without_spoilt(found.templates[0], found.serves, "a", ("numpy", "scipy", "scipy.stats=x"))
    assert revised is not None
    assert moved.keys() == {"b", "c"}
    assert revised.nodes[-1].modules == ("scipy", "scipy:stats")
    assert revised.nodes[-1].allowed is None  # what these bring along is known as little as before


# What history knows


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite")


def ran(status: str = "passed", modules: tuple[str, ...] = (), **options: object) -> Result:
    values: dict[str, object] = {
        "notebook": "a.ipynb", "group": "core", "python": "3.11", "environment": "k", "status": status,
        "modules": modules,
    }  # fmt: skip
    return Result(**{**values, **options})  # type: ignore[arg-type]


def known_of(history: History, digest: str = "d", environment: str = "k") -> KernelHistory | None:
    found = history.known([job("a")], digests={"a.ipynb": digest}, environments={Target("core", "3.11"): environment})
    return found.get("a")


def test_modules_are_remembered_in_order(history: History) -> None:
    names = ("zlib", "numpy", "a=/elsewhere/ä.py")
    history.add(ran(modules=names), "d")
    assert known_of(history) == KernelHistory(modules=names)


def test_modules_of_other_code_or_of_another_environment_count_for_nothing(history: History) -> None:
    history.add(ran(modules=("numpy",)), "d")
    assert known_of(history, digest="other") is None
    assert known_of(history, environment="other") is None


def test_a_warm_pass_leaves_what_a_cold_one_taught(history: History) -> None:
    history.add(ran(modules=("numpy",)), "d")
    history.add(ran(warm=True), "d")
    assert known_of(history) == KernelHistory(modules=("numpy",))


def test_what_did_not_pass_the_last_time_starts_cold(history: History) -> None:
    history.add(ran(modules=("numpy",)), "d")
    history.add(ran("failed"), "d")
    assert known_of(history) == KernelHistory(modules=("numpy",), cold=True)
    history.add(ran(), "d")
    assert known_of(history) == KernelHistory(modules=("numpy",))


def test_what_failed_in_both_kernels_may_start_warm_again_once_it_passes(history: History) -> None:
    history.add(ran(status="failed", warm_verdict="failed: no network"), "d")
    history.add(ran(modules=("numpy",)), "d")
    assert known_of(history) == KernelHistory(modules=("numpy",), cold=False)


def test_what_once_passed_only_cold_stays_cold_until_it_changes(history: History) -> None:
    history.add(ran(modules=("numpy",), warm_verdict="failed: x"), "d")
    history.add(ran(modules=("numpy",)), "d")
    assert known_of(history) == KernelHistory(modules=("numpy",), cold=True)
    history.add(ran(modules=("numpy",)), "new")
    assert known_of(history, digest="new") == KernelHistory(modules=("numpy",))


def test_a_warm_run_is_expected_to_take_what_warm_runs_took(history: History) -> None:
    for seconds in (9.0, 9.0, 9.0):
        history.add(ran(seconds=seconds), "d")
    history.add(ran(seconds=1.0, warm=True), "d")
    assert history.costs([job("a")])["a"].seconds == 1.0
    history.add(ran(seconds=9.0), "d")
    assert history.costs([job("a")])["a"].seconds == 9.0


def test_lessons_are_kept_and_a_lost_history_knows_nothing(history: History, tmp_path: Path) -> None:
    history.record_facts({"k": "{}", "damaged": "{"})
    history.record_facts({})
    assert history.template_facts() == {"k": "{}"}
    empty = History(tmp_path / "none.sqlite")
    assert (empty.template_facts(), known_of(empty)) == ({}, None)
    (tmp_path / "broken.sqlite").write_text("no database " * 100, encoding="utf-8")
    broken = History(tmp_path / "broken.sqlite")
    assert (broken.template_facts(), known_of(broken)) == ({}, None)
