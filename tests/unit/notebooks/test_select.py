"""Promise: the right notebooks are found, fast."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import write_notebook

from envsolver.core.errors import ConfigurationError, NothingToRunError
from envsolver.core.results import Run
from envsolver.core.settings import Config
from envsolver.notebooks.select import find_notebooks, left_out_links, select_notebooks
from envsolver.report.results_json import write_results


def found(root: Path, *globs: str, exclude: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Find notebooks below a root."""
    return find_notebooks(Config(root=root, notebooks=globs or ("**/*.ipynb",), exclude=exclude))


def test_notebooks_are_sorted_and_named_once(tmp_path: Path) -> None:
    for path in ("b.ipynb", "a/c.ipynb", "a b/\u00fc '1'.ipynb", "-x.ipynb"):
        write_notebook(tmp_path, path)
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "folder.ipynb").mkdir()
    expected = ("-x.ipynb", "a b/\u00fc '1'.ipynb", "a/c.ipynb", "b.ipynb")
    assert found(tmp_path) == expected
    assert found(tmp_path, "**/*.ipynb", "*.ipynb", "a/**") == expected


def test_globs_and_exclusions_decide(tmp_path: Path) -> None:
    for path in ("x.ipynb", "demos/a.ipynb", "demos/old/b.ipynb", "other/c.ipynb"):
        write_notebook(tmp_path, path)
    assert found(tmp_path, "demos/**", exclude=("demos/old/",)) == ("demos/a.ipynb",)
    assert found(tmp_path, "*.ipynb") == ("x.ipynb",)
    assert found(tmp_path, "missing/**") == ()


@pytest.mark.parametrize(
    "folder",
    [
        ".git",
        ".venv",
        ".nox/x",
        ".envsolver/runs",
        "a/.ipynb_checkpoints",
        "node_modules/x",
        "_build/html",
        "build/lib",
    ],
)
def test_directories_that_hold_nothing_of_the_project_are_left_out(tmp_path: Path, folder: str) -> None:
    write_notebook(tmp_path, f"{folder}/a.ipynb")
    assert found(tmp_path) == ()


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "CACHEDIR.TAG"])
def test_virtualenvs_and_caches_are_left_out(tmp_path: Path, mark: str) -> None:
    write_notebook(tmp_path, "env/share/a.ipynb")
    (tmp_path / "env" / mark).touch()
    assert found(tmp_path) == ()


def test_the_executed_copies_of_a_run_are_no_notebooks_of_the_project(tmp_path: Path) -> None:
    run = Run(directory=tmp_path / "out/1", started="2026-01-01T00:00:00+00:00", wall_seconds=1, workers=1, results=())
    write_notebook(tmp_path, "out/1/executed/3.11-base/a.ipynb")
    write_results(run)
    write_notebook(tmp_path, "own/executed/b.ipynb")
    (tmp_path / "own/results.json").write_text('{"accuracy": 0.9}')
    assert found(tmp_path) == ("own/executed/b.ipynb",)


def test_a_glob_that_names_a_build_directory_finds_what_is_there(tmp_path: Path) -> None:
    write_notebook(tmp_path, "build/a.ipynb")
    write_notebook(tmp_path, "docs/.ipynb_checkpoints/b.ipynb")
    write_notebook(tmp_path, "build/._a.ipynb")
    assert found(tmp_path, "build/**", "docs/.ipynb_checkpoints/*.ipynb") == ("build/a.ipynb",)


def test_links_out_of_the_project_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    write_notebook(tmp_path, "outside/a.ipynb")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "b.ipynb").symlink_to(tmp_path / "outside" / "a.ipynb")
    assert found(root) == ()


@pytest.mark.parametrize(
    ("globs", "exclude", "named"),
    [
        (("**/*.ipynb",), (), ["b.ipynb", "folder"]),
        (("**/*.ipynb",), ("b.ipynb",), ["folder"]),
        (("*.ipynb",), (), ["b.ipynb"]),
        (("folder/**",), (), ["folder"]),
        (("real/**",), (), []),
    ],
)
def test_links_out_of_the_project_are_named(
    tmp_path: Path, globs: tuple[str, ...], exclude: tuple[str, ...], named: list[str]
) -> None:
    root = tmp_path / "project"
    write_notebook(root, "real/a.ipynb")
    write_notebook(tmp_path, "outside/a.ipynb")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "b.ipynb").symlink_to(tmp_path / "outside" / "a.ipynb")
    (root / "inside").symlink_to(root / "real")
    (root / "data.csv").symlink_to("/etc/hosts")
    lines = left_out_links(Config(root=root, notebooks=globs, exclude=exclude), (), root)
    assert [line.split()[2] for line in lines] == named
    assert all(str(tmp_path / "outside") in line for line in lines)


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    write_notebook(tmp_path, "a.ipynb")
    (tmp_path / "dead.ipynb").symlink_to("nowhere.ipynb")
    (tmp_path / "loop.ipynb").symlink_to("loop.ipynb")
    (tmp_path / ".hidden.ipynb").symlink_to("nowhere.ipynb")
    assert found(tmp_path) == ("a.ipynb",)
    assert left_out_links(Config(root=tmp_path), (), tmp_path) == (
        f"left out: dead.ipynb is a link that leads nowhere: there is no {tmp_path.resolve()}/nowhere.ipynb",
        f"left out: loop.ipynb is a link that leads nowhere: there is no {tmp_path.resolve()}/loop.ipynb",
    )


@pytest.mark.parametrize(
    ("patterns", "start", "named"),
    [
        (["docs"], ".", ["docs/out.ipynb"]),
        (["."], ".", ["docs/out.ipynb", "out.ipynb"]),
        (["*.ipynb"], "docs", ["docs/out.ipynb", "out.ipynb"]),
        (["out.ipynb"], ".", ["out.ipynb"]),
        (["docs/a.ipynb"], ".", []),
    ],
    ids=str,
)
def test_of_named_notebooks_the_links_out_of_the_project_are_named_too(
    tmp_path: Path, patterns: list[str], start: str, named: list[str]
) -> None:
    root = tmp_path / "p"
    write_notebook(tmp_path, "outside/a.ipynb")
    write_notebook(tmp_path, "p/docs/a.ipynb")
    for link in ("docs/out.ipynb", "out.ipynb"):
        (root / link).symlink_to(tmp_path / "outside" / "a.ipynb")
    lines = left_out_links(Config(root=root), patterns, root / start)
    assert [line.split()[2] for line in lines] == named


def test_where_nothing_but_links_out_is_found_they_are_named(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "folder").symlink_to(tmp_path)
    with pytest.raises(NothingToRunError, match="left out: folder is a link"):
        select_notebooks(Config(root=root), (), root)


def test_links_within_the_project_are_followed_and_end(tmp_path: Path) -> None:
    write_notebook(tmp_path, "real/a.ipynb")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "real" / "docs").symlink_to(tmp_path / "docs")
    assert found(tmp_path, "docs/**") == ("docs/linked/a.ipynb",)
    assert found(tmp_path) == ("real/a.ipynb",)


def test_without_patterns_all_are_selected(tmp_path: Path) -> None:
    write_notebook(tmp_path, "a.ipynb")
    assert select_notebooks(Config(root=tmp_path), (), tmp_path) == ("a.ipynb",)


def test_nothing_at_all_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(NothingToRunError, match=r"No notebook matches \*\*/\*\.ipynb in "):
        select_notebooks(Config(root=tmp_path), (), tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Config:
    """Return a project whose configuration names some of its notebooks."""
    for path in ("demos/a.ipynb", "demos/ml/b.ipynb", "demos/ml/[c] 'd'.ipynb", "docs/e.ipynb", "docs/-f.ipynb"):
        write_notebook(tmp_path, path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "demos" / "helper.py").touch()
    return Config(root=tmp_path, notebooks=("demos/**",))


@pytest.mark.parametrize(
    ("cwd", "patterns", "expected"),
    [
        ("", ["demos/a.ipynb"], ["demos/a.ipynb"]),
        ("demos", ["a.ipynb"], ["demos/a.ipynb"]),
        ("demos/ml", ["../a.ipynb"], ["demos/a.ipynb"]),
        ("demos", ["demos/a.ipynb"], ["demos/a.ipynb"]),
        ("", ["demos/ml"], ["demos/ml/[c] 'd'.ipynb", "demos/ml/b.ipynb"]),
        ("", ["demos/ml/"], ["demos/ml/[c] 'd'.ipynb", "demos/ml/b.ipynb"]),
        ("demos/ml", ["."], ["demos/ml/[c] 'd'.ipynb", "demos/ml/b.ipynb"]),
        ("demos", ["*.ipynb"], ["demos/a.ipynb"]),
        ("demos", ["**/b*"], ["demos/ml/b.ipynb"]),
        ("docs", ["demos/*"], ["demos/a.ipynb"]),
        ("", ["demos/ml/[c] 'd'.ipynb"], ["demos/ml/[c] 'd'.ipynb"]),
        ("docs", ["-f.ipynb"], ["docs/-f.ipynb"]),
        ("", ["docs/e.ipynb"], ["docs/e.ipynb"]),
        ("", ["docs"], ["docs/-f.ipynb", "docs/e.ipynb"]),
        ("", ["docs/e*"], ["docs/e.ipynb"]),
        ("", ["demos/a.ipynb", "demos/*", "demos/a.ipynb"], ["demos/a.ipynb"]),
    ],
)
def test_patterns_select(project: Config, cwd: str, patterns: list[str], expected: list[str]) -> None:
    assert list(select_notebooks(project, patterns, project.root / cwd)) == expected


def test_an_absolute_path_selects(project: Config) -> None:
    assert select_notebooks(project, [str(project.root / "demos" / "a.ipynb")], Path("/")) == ("demos/a.ipynb",)


def test_a_directory_with_glob_characters_is_taken_as_it_is(project: Config) -> None:
    write_notebook(project.root, "docs/[x]/y.ipynb")
    assert select_notebooks(project, ["docs/[x]"], project.root) == ("docs/[x]/y.ipynb",)


@pytest.mark.parametrize("pattern", ["demos/aa.ipynb", "demos/z*.ipynb", "nowhere", "empty"])
def test_a_pattern_that_matches_nothing_is_named(project: Config, pattern: str) -> None:
    with pytest.raises(NothingToRunError, match=pattern.replace("*", r"\*")) as caught:
        select_notebooks(project, ["demos/a.ipynb", pattern], project.root)
    assert caught.value.exit_code == 3


def test_near_matches_are_suggested(project: Config) -> None:
    with pytest.raises(NothingToRunError, match=r"Near: demos/ml/b\.ipynb"):
        select_notebooks(project, ["demos/ml/bb.ipynb"], project.root)
    with pytest.raises(NothingToRunError, match=r"Near: demos/ml/b\.ipynb"):
        select_notebooks(project, ["b.ipynb"], project.root)


@pytest.mark.parametrize("pattern", ["../x.ipynb", "/x.ipynb", "/elsewhere/*.ipynb", "../*"])
def test_a_path_out_of_the_project_is_a_fault(project: Config, pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="lies outside of the project"):
        select_notebooks(project, [pattern], project.root)


def test_a_file_that_is_no_notebook_is_a_fault(project: Config) -> None:
    with pytest.raises(ConfigurationError, match=r"helper\.py.*is not a notebook"):
        select_notebooks(project, ["demos/helper.py"], project.root)


def test_all_faulty_patterns_are_told_together(project: Config) -> None:
    with pytest.raises(ConfigurationError) as caught:
        select_notebooks(project, ["../x.ipynb", "demos/helper.py"], project.root)
    assert len(caught.value.faults) == 2


def test_a_link_is_selected_by_its_own_name_and_not_out_of_the_project(project: Config, tmp_path: Path) -> None:
    (tmp_path / "docs" / "link.ipynb").symlink_to(tmp_path / "demos" / "a.ipynb")
    assert select_notebooks(project, ["docs/link.ipynb"], tmp_path) == ("docs/link.ipynb",)
    (tmp_path / "docs" / "out.ipynb").symlink_to("/etc/hosts")
    with pytest.raises(ConfigurationError, match="lies outside"):
        select_notebooks(project, ["docs/out.ipynb"], tmp_path)
