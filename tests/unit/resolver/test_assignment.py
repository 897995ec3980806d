"""A notebook's group is decided by the configuration, its metadata, its imports, in this order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from envsolver.core.environments import Assignment, Group, Interpreter, Lock
from envsolver.core.notebooks import Import, Notebook, Origin, Requirement
from envsolver.core.settings import Config, GroupSettings, NotebookSettings
from envsolver.resolver.assignment import assign, supplies
from envsolver.resolver.locks import make_lock

PYTHON = Interpreter(request="3.11", executable="/bin/python", version="3.11.7", platform="cpython-linux-x86_64")
CONTENT = {
    "core": ("numpy", "scipy", "scikit-learn", "ipykernel", "ipython", "six"),
    "ml": ("numpy", "scipy", "torch", "ipykernel", "ipython", "six", "sympy"),
    "tiny": ("numpy", "ipykernel", "ipython"),
}
GROUPS = {
    name: Group(
        name=name,
        file=f"requirements/{name}.in",
        requirements=tuple(
            Requirement(text=text, origin=Origin(path=f"requirements/{name}.in", line=1))
            for text in content
            if text not in {"ipykernel", "ipython", "six"}
        ),
    )
    for name, content in CONTENT.items()
}


def lock(name: str) -> Lock:
    return make_lock(name, PYTHON, "".join(f"{package}==1.0\n" for package in CONTENT[name]))


LOCKS = {name: lock(name) for name in CONTENT}
TABLE = {"sklearn": ("scikit-learn",), "IPython": ("ipython",), "cv2": ("opencv-python", "opencv-python-headless")}


def distributions(module: str) -> tuple[str, ...]:
    top = module.split(".", maxsplit=1)[0]
    return TABLE.get(top, (top,))


def notebook(
    *modules: str, optional: Iterable[str] = (), group: str | None = None, language: str = "python"
) -> Notebook:
    origin = Origin(path="demos/a.ipynb", cell=1, line=1)
    needed = [Import(module=module, origin=origin) for module in modules]
    guarded = [Import(module=module, origin=origin, optional=True) for module in optional]
    return Notebook(path="demos/a.ipynb", imports=(*needed, *guarded), group=group, language=language)


def decide(
    given: Notebook,
    config: Config | None = None,
    settings: NotebookSettings | None = None,
    without_locks: Iterable[str] = (),
) -> Assignment:
    locks = {name: made for name, made in LOCKS.items() if name not in set(without_locks)}
    return assign(
        given,
        config=config or Config(source="pyproject.toml"),
        settings=settings or NotebookSettings(),
        supplied=supplies(Path(), GROUPS, locks),
        distributions=distributions,
    )


def known_only(module: str) -> tuple[str, ...]:
    return ("numpy",) if module.startswith("numpy") else ("scipy",) if module.startswith("scipy") else ()


@pytest.mark.parametrize(
    ("modules", "group"),
    [
        (("made_one",), "tiny"),
        (("numpy", "made_one.part"), "tiny"),
        (("scipy", "made_one"), "core"),
        (("numpy", "torch"), "ml"),
    ],
)
def test_a_module_that_nobody_knows_is_left_to_the_run_unless_a_group_has_its_name(
    modules: tuple[str, ...], group: str
) -> None:
    found = assign(
        notebook(*modules),
        config=Config(source="pyproject.toml"),
        settings=NotebookSettings(),
        supplied=supplies(Path(), GROUPS, LOCKS),
        distributions=known_only,
    )
    assert (found.group, found.reason) == (group, "")
    assert "made_one" not in found.why


@pytest.mark.parametrize(
    ("modules", "group"),
    [
        (("numpy",), "tiny"),
        (("numpy.linalg", "scipy.stats"), "core"),
        (("sklearn.svm",), "core"),
        (("torch", "scipy"), "ml"),
        (("sympy",), "ml"),
        (("IPython.display", "ipykernel"), "tiny"),
        ((), "tiny"),
    ],
)
def test_the_smallest_group_that_provides_all_imports_is_taken(modules: tuple[str, ...], group: str) -> None:
    assigned = decide(notebook(*modules))
    assert (assigned.group, assigned.verdict) == (group, None)


def test_an_optional_import_does_not_decide() -> None:
    assert decide(notebook("numpy", optional=["torch", "nowhere"])).group == "tiny"


def test_the_import_that_decided_is_named() -> None:
    assert decide(notebook("numpy", "torch")).why == "imports torch"


def test_the_configuration_goes_before_the_metadata_and_the_imports() -> None:
    config = Config(groups={"core": GroupSettings(notebooks=("demos/**",))}, source="pyproject.toml")
    by_notebook = decide(notebook("numpy", group="tiny"), config, NotebookSettings(group="ml"))
    by_group = decide(notebook("numpy", group="tiny"), config)
    by_metadata = decide(notebook("numpy", group="ml"))
    assert (by_notebook.group, by_notebook.why) == ("ml", "set in pyproject.toml")
    assert (by_group.group, by_group.why) == ("core", "matches demos/** in pyproject.toml")
    assert (by_metadata.group, by_metadata.why) == ("ml", "set in its metadata")


def test_a_group_that_does_not_exist_is_named_with_those_that_do() -> None:
    assigned = decide(notebook("numpy", group="nope"))
    assert (assigned.group, assigned.verdict) == (None, "environment")
    assert assigned.reason.startswith("its group nope (set in its metadata) does not exist; the groups are core, ml, ")


def test_when_none_fits_the_closest_group_and_the_line_to_add_are_named() -> None:
    assigned = decide(notebook("torch", "numpy", "cv2.aruco", "cv2"))
    assert (assigned.group, assigned.verdict) == (None, "environment")
    assert assigned.reason == (
        "no group provides all that it imports; the closest is ml, which lacks cv2 (opencv-python): "
        "add `opencv-python` to requirements/ml.in"
    )


def test_any_candidate_distribution_serves() -> None:
    group = Group(name="cv", file="requirements/cv.in")
    made = make_lock("cv", PYTHON, "opencv-python-headless==4\n")
    supplied = supplies(Path(), {"cv": group}, {"cv": made})
    assigned = assign(
        notebook("cv2"), config=Config(), settings=NotebookSettings(), supplied=supplied, distributions=distributions
    )
    assert assigned.group == "cv"


def test_before_there_is_a_lock_the_direct_requirements_and_the_kernels_count() -> None:
    everything = list(CONTENT)
    assert decide(notebook("torch", "IPython"), without_locks=everything).group == "ml"
    assert decide(notebook("sympy", "six"), without_locks=everything).verdict == "environment"


def test_a_notebook_of_a_group_that_cannot_be_solved_stays_with_it() -> None:
    assert decide(notebook("sklearn"), without_locks=["core"]).group == "core"
    assert decide(notebook("numpy"), without_locks=["ml"]).group == "tiny"


@pytest.mark.parametrize(
    ("given", "settings", "verdict", "reason"),
    [
        (Notebook(path="a.ipynb", fault="it is not JSON"), {}, "failed", "it is not JSON"),
        (notebook(language="julia"), {}, "skipped", "it is written in julia; only Python notebooks are run"),
        (notebook("numpy"), {"skip": "needs a licence"}, "skipped", "needs a licence"),
        (Notebook(path="a.ipynb", script_fault="cell 1: not TOML"), {}, "environment", "cell 1: not TOML"),
    ],
)
def test_a_notebook_that_cannot_run_gets_its_verdict_and_the_reason(
    given: Notebook, settings: dict[str, Any], verdict: str, reason: str
) -> None:
    assigned = decide(given, settings=NotebookSettings(**settings))
    assert (assigned.group, assigned.verdict, assigned.reason) == (None, verdict, reason)


def test_without_groups_the_reason_says_what_to_do() -> None:
    assigned = assign(
        notebook("numpy"), config=Config(), settings=NotebookSettings(), supplied=(), distributions=distributions
    )
    assert assigned.verdict == "environment"
    assert "requirements/<group>.in" in assigned.reason
