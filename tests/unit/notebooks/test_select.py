"""Promise: the right notebooks are found, fast, and each is read as it is, whatever is wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from envsolver.core.errors import ConfigurationError, NothingToRunError
from envsolver.core.notebooks import Notebook
from envsolver.core.settings import Config, NotebookSettings
from envsolver.notebooks.select import find_notebooks, left_out_links, read_notebook, select_notebooks


def write(root: Path, path: str, *sources: str, **metadata: object) -> Path:
    """Write a notebook of code cells."""
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources]
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}))
    return place


def read(root: Path, *sources: str, path: str = "a.ipynb", **metadata: object) -> Notebook:
    """Write a notebook and read it."""
    write(root, path, *sources, **metadata)
    return read_notebook(root, path)


def found(root: Path, *globs: str, exclude: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Find notebooks below a root."""
    return find_notebooks(Config(root=root, notebooks=globs or ("**/*.ipynb",), exclude=exclude))


def imports(notebook: Notebook) -> list[str]:
    """Return what a notebook imports; a question mark marks optional ones."""
    assert notebook.fault is None
    return [wanted.module + "?" * wanted.optional for wanted in notebook.imports]


def test_notebooks_are_sorted_and_named_once(tmp_path: Path) -> None:
    for path in ("b.ipynb", "a/c.ipynb", "a b/\u00fc '1'.ipynb", "-x.ipynb"):
        write(tmp_path, path)
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "folder.ipynb").mkdir()
    expected = ("-x.ipynb", "a b/\u00fc '1'.ipynb", "a/c.ipynb", "b.ipynb")
    assert found(tmp_path) == expected
    assert found(tmp_path, "**/*.ipynb", "*.ipynb", "a/**") == expected


def test_globs_and_exclusions_decide(tmp_path: Path) -> None:
    for path in ("x.ipynb", "demos/a.ipynb", "demos/old/b.ipynb", "other/c.ipynb"):
        write(tmp_path, path)
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
    write(tmp_path, f"{folder}/a.ipynb")
    assert found(tmp_path) == ()


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "CACHEDIR.TAG"])
def test_virtualenvs_and_caches_are_left_out(tmp_path: Path, mark: str) -> None:
    write(tmp_path, "env/share/a.ipynb")
    (tmp_path / "env" / mark).touch()
    assert found(tmp_path) == ()


def test_a_glob_that_names_a_build_directory_finds_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "build/a.ipynb")
    write(tmp_path, "docs/.ipynb_checkpoints/b.ipynb")
    write(tmp_path, "build/._a.ipynb")
    assert found(tmp_path, "build/**", "docs/.ipynb_checkpoints/*.ipynb") == ("build/a.ipynb",)


def test_links_out_of_the_project_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    write(tmp_path, "outside/a.ipynb")
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
    write(root, "real/a.ipynb")
    write(tmp_path, "outside/a.ipynb")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "b.ipynb").symlink_to(tmp_path / "outside" / "a.ipynb")
    (root / "inside").symlink_to(root / "real")
    (root / "data.csv").symlink_to("/etc/hosts")
    (root / "dead.ipynb").symlink_to(tmp_path / "nowhere.ipynb")
    lines = left_out_links(Config(root=root, notebooks=globs, exclude=exclude), (), root)
    assert [line.split()[2] for line in lines] == named
    assert all(str(tmp_path / "outside") in line for line in lines)


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
    write(tmp_path, "outside/a.ipynb")
    write(tmp_path, "p/docs/a.ipynb")
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
    write(tmp_path, "real/a.ipynb")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "real" / "docs").symlink_to(tmp_path / "docs")
    assert found(tmp_path, "docs/**") == ("docs/linked/a.ipynb",)
    assert found(tmp_path) == ("real/a.ipynb",)


def test_without_patterns_all_are_selected(tmp_path: Path) -> None:
    write(tmp_path, "a.ipynb")
    assert select_notebooks(Config(root=tmp_path), (), tmp_path) == ("a.ipynb",)


def test_nothing_at_all_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(NothingToRunError, match=r"No notebook matches \*\*/\*\.ipynb in "):
        select_notebooks(Config(root=tmp_path), (), tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Config:
    """Return a project whose configuration names some of its notebooks."""
    for path in ("demos/a.ipynb", "demos/ml/b.ipynb", "demos/ml/[c] 'd'.ipynb", "docs/e.ipynb", "docs/-f.ipynb"):
        write(tmp_path, path)
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
    write(project.root, "docs/[x]/y.ipynb")
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


FAULTS = [
    (b"", "the file is empty"),
    (b" \n", "the file is empty"),
    (b"{", "not JSON: Expecting property name enclosed in double quotes in line 1, column 2"),
    (b'{\n "cells": [,]}', "not JSON: Expecting value in line 2, column 12"),
    (b'{"a": "\xe9"}', "not UTF-8 text: byte 0xe9 in line 1"),
    ('{"nbformat": 4}'.encode("utf-16"), "not UTF-8 text: byte 0xff in line 1"),
    (b"[]", "not a notebook: its JSON is not an object"),
    (b"3", "not a notebook: its JSON is not an object"),
    (b"{}", "not a notebook: it has no `nbformat` number"),
    (b'{"nbformat": true, "cells": []}', "not a notebook: it has no `nbformat` number"),
    (b'{"nbformat": 4}', "not a notebook: `cells` is missing"),
    (b'{"nbformat": 4, "cells": {}}', "not a notebook: `cells` is not a list"),
    (b'{"nbformat": 4, "cells": [3]}', "not a notebook: cell 1 is not an object"),
    (b'{"nbformat": 4, "cells": [{}]}', "not a notebook: cell 1 has no `cell_type`"),
    (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "the source of cell 1 is not text"),
    (b'{"nbformat": 4, "cells": [], "metadata": []}', "not a notebook: its `metadata` is not an object"),
    (b'{"nbformat": 2, "worksheets": []}', "nbformat 2 is too old"),
    (b'{"nbformat": 5, "cells": []}', "nbformat 5 is newer than 4"),
    (b'{"nbformat": 3}', "not a notebook: `worksheets` is missing"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    (b'{\n<<<<<<< HEAD\n"a": 1\n=======\n"b": 2\n>>>>>>> x\n}', "holds merge conflict marks, the first in line 2"),
    (b"[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("content", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_file_that_is_no_usable_notebook_is_told_in_its_fault(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    notebook = read_notebook(tmp_path, "a.ipynb")
    assert notebook.fault is not None
    assert fault in notebook.fault


def test_a_missing_file_and_a_directory_are_faults_too(tmp_path: Path) -> None:
    (tmp_path / "b.ipynb").mkdir()
    assert read_notebook(tmp_path, "a.ipynb").fault == "there is no such file"
    assert read_notebook(tmp_path, "b.ipynb").fault == "cannot be read: Is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "a.ipynb").chmod(0)
    assert read_notebook(tmp_path, "a.ipynb").fault == "cannot be read: Permission denied"


def test_an_empty_notebook_is_fine(tmp_path: Path) -> None:
    notebook = read(tmp_path)
    assert (notebook.fault, notebook.code_cells, notebook.imports, notebook.language) == (None, 0, (), "python")


def test_a_byte_order_mark_is_let_pass(tmp_path: Path) -> None:
    place = write(tmp_path, "a.ipynb", "import a")
    place.write_text("\ufeff" + place.read_text())
    assert imports(read_notebook(tmp_path, "a.ipynb")) == ["a"]


def test_nbformat_3_is_read(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "source": ["Title"], "level": 1},
        {"cell_type": "code", "input": ["import a\n", "import b"], "language": "python", "outputs": []},
    ]
    document = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    (tmp_path / "a.ipynb").write_text(json.dumps(document))
    notebook = read_notebook(tmp_path, "a.ipynb")
    assert imports(notebook) == ["a", "b"]
    assert str(notebook.imports[1].origin) == "a.ipynb, cell 2, line 2"


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({}, "python"),
        ({"kernelspec": {"name": "python37464bitbaseconda52eab", "display_name": "x"}}, "python"),
        ({"kernelspec": {"name": "my-project"}}, "python"),
        ({"kernelspec": {"name": "python3", "language": "python"}}, "python"),
        ({"language_info": {"name": "ipython"}}, "python"),
        ({"language_info": {"name": "Python 3"}}, "python"),
        ({"kernelspec": {"language": "R", "name": "ir"}}, "r"),
        ({"language_info": {"name": "julia"}}, "julia"),
        ({"kernelspec": {"name": "julia-1.9", "display_name": "Julia"}}, "julia"),
        ({"kernelspec": {"name": "ir"}}, "r"),
        ({"kernelspec": "broken", "language_info": 3}, "python"),
    ],
)
def test_the_language_comes_from_the_metadata_and_not_from_a_stale_kernel(
    tmp_path: Path, metadata: dict[str, object], language: str
) -> None:
    write(tmp_path, "a.ipynb", **metadata)
    assert read_notebook(tmp_path, "a.ipynb").language == language


def test_the_code_of_another_language_is_not_looked_at(tmp_path: Path) -> None:
    notebook = read(tmp_path, "import a", "!pip install b", language_info={"name": "R"})
    assert (notebook.code_cells, notebook.imports, notebook.installs) == (2, (), ())


@pytest.mark.parametrize(
    ("execution", "cell_timeout", "allow_errors"),
    [
        ({"timeout": 30, "allow_errors": True}, 30.0, True),
        ({"timeout": -1}, None, False),
        ({"timeout": None, "allow_errors": "yes"}, None, False),
        ({"timeout": "30"}, None, False),
        ({"timeout": True}, None, False),
        ([], None, False),
    ],
)
def test_the_metadata_of_the_execution_is_honoured(
    tmp_path: Path, execution: object, cell_timeout: float | None, *, allow_errors: bool
) -> None:
    notebook = read(tmp_path, execution=execution)
    assert (notebook.cell_timeout, notebook.allow_errors) == (cell_timeout, allow_errors)


@pytest.mark.parametrize(("value", "group"), [({"group": "ml"}, "ml"), ({"group": " "}, None), ({}, None), (3, None)])
def test_the_group_of_the_metadata_is_read(tmp_path: Path, value: object, group: str | None) -> None:
    assert read(tmp_path, envsolver=value).group == group


def test_the_running_standard_library_is_left_out(tmp_path: Path) -> None:
    assert imports(read(tmp_path, "import os, sys, asyncio\nfrom __future__ import x")) == []


def test_the_first_mention_of_each_module_counts(tmp_path: Path) -> None:
    notebook = read(tmp_path, "from scipy import stats\nimport numpy", "import scipy.optimize\nimport scipy")
    assert [(wanted.module, str(wanted.origin)) for wanted in notebook.imports] == [
        ("scipy", "a.ipynb, cell 1, line 1"),
        ("numpy", "a.ipynb, cell 1, line 2"),
    ]


def test_a_module_that_is_needed_once_is_not_optional(tmp_path: Path) -> None:
    notebook = read(tmp_path, "try:\n    import a\nexcept ImportError:\n    pass", "import a.b")
    assert imports(notebook) == ["a.b"]


def test_the_parts_of_a_namespace_are_told_apart(tmp_path: Path) -> None:
    source = "from google.cloud import storage, bigquery\nimport google.protobuf\nfrom google.protobuf import message"
    assert imports(read(tmp_path, source)) == [
        "google.cloud.storage",
        "google.cloud.bigquery",
        "google.protobuf",
    ]


def test_colab_itself_is_never_asked_for_where_it_is_optional(tmp_path: Path) -> None:
    assert imports(read(tmp_path, "try:\n    import google.colab\nexcept ImportError:\n    pass")) == []
    assert imports(read(tmp_path, "from google.colab import drive")) == ["google.colab"]


def test_only_code_cells_that_run_count(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": "import a\n%pip install a"},
        {"cell_type": "raw", "source": "import b"},
        {"cell_type": "code", "source": "import c\n%pip install c", "metadata": {"tags": ["skip-execution"]}},
        {"cell_type": "code", "source": "import d", "metadata": {"tags": ["raises-exception"]}},
        {"cell_type": "code", "source": ["import ", "e"], "metadata": {"tags": "odd"}},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))
    notebook = read_notebook(tmp_path, "a.ipynb")
    assert imports(notebook) == ["d?", "e"]
    assert notebook.installs == ()
    assert notebook.code_cells == 3


def test_cells_that_the_configuration_leaves_out_ask_for_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.ipynb", "import a", "%pip install git+https://x.org/y", "import b", "# appendix", "import c")
    settings = NotebookSettings(skip_cells=("git+",), stop_at="# appendix")
    notebook = read_notebook(tmp_path, "a.ipynb", settings)
    assert imports(notebook) == ["a", "b"]
    assert notebook.refused == ()


def test_local_modules_are_left_out_and_what_they_import_is_not(tmp_path: Path) -> None:
    (tmp_path / "nb" / "pack").mkdir(parents=True)
    (tmp_path / "nb" / "helper.py").write_text("import os, torch\nfrom pack.core import x\ndef f():\n    import late\n")
    (tmp_path / "nb" / "pack" / "__init__.py").write_text("from .extra import y\n")
    (tmp_path / "nb" / "pack" / "extra.py").write_text("import jax\nfrom . import core\n")
    (tmp_path / "nb" / "pack" / "core.py").write_text("import numpy\nimport helper\n")
    notebook = read(tmp_path, "import helper", path="nb/a.ipynb")
    assert sorted((wanted.module, str(wanted.origin)) for wanted in notebook.imports) == [
        ("jax", "nb/pack/extra.py:1"),
        ("numpy", "nb/pack/core.py:1"),
        ("torch", "nb/helper.py:1"),
    ]


def test_modules_on_the_search_path_further_up_and_written_by_the_notebook_are_local(tmp_path: Path) -> None:
    for path in ("lib/on_path.py", "docs/above.py", "top.py", "docs/deep/space/part.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    notebook = read(
        tmp_path,
        "import sys\nsys.path.append('../../lib')",
        "import on_path, above, top, written\nfrom space import part\nimport space.other",
        "%%writefile written.py\nimport never",
        path="docs/deep/a.ipynb",
    )
    assert imports(notebook) == ["space.other"]


def test_modules_in_a_directory_with_an_unknown_beginning_are_local_where_the_project_has_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "header.py").write_text("import numpy\n")
    cell = "repo = git('rev-parse')\nsys.path.insert(0, repo + '/utils')\nimport header, elsewhere"
    assert imports(read(tmp_path, cell, path="docs/deep/a.ipynb")) == ["numpy", "elsewhere"]


WIDGETS = [
    ("from tqdm.notebook import tqdm", ["tqdm.notebook", "ipywidgets"]),
    ("import tqdm.notebook", ["tqdm.notebook", "ipywidgets"]),
    ("from tqdm import tqdm_notebook as tqdm", ["tqdm", "ipywidgets"]),
    ("try:\n    from tqdm.notebook import tqdm\nexcept ImportError:\n    pass", ["tqdm.notebook?", "ipywidgets?"]),
    ("from tqdm import tqdm", ["tqdm"]),
    ("from tqdm.auto import tqdm", ["tqdm.auto"]),
    ("%matplotlib widget", ["ipympl", "matplotlib"]),
    ("%matplotlib inline", ["matplotlib"]),
]


@pytest.mark.parametrize(("source", "expected"), WIDGETS, ids=[source for source, _ in WIDGETS])
def test_what_draws_with_widgets_wants_them_too(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert imports(read(tmp_path, source)) == expected


def test_the_projects_own_package_is_wanted_unless_it_is_found_without_being_installed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    (tmp_path / "src" / "mine").mkdir(parents=True)
    (tmp_path / "src" / "mine" / "__init__.py").write_text("import numpy\n")
    assert imports(read(tmp_path, "import mine", path="docs/a.ipynb")) == ["mine"]
    assert imports(read(tmp_path, "sys.path.insert(0, '../src')\nimport mine", path="docs/a.ipynb")) == [
        "mine?",
        "numpy",
    ]


def test_a_script_that_is_run_is_followed(tmp_path: Path) -> None:
    (tmp_path / "setup_it.py").write_text("import torch\n")
    assert imports(read(tmp_path, "%run setup_it.py")) == ["torch"]
    assert imports(read(tmp_path, "%run setup_it")) == ["torch"]


def test_a_notebook_that_is_run_is_followed_as_a_script_is(tmp_path: Path) -> None:
    (tmp_path / "lib" / "tools").mkdir(parents=True)
    (tmp_path / "lib" / "tools" / "helper.py").write_text("import jax\n")
    setup = [
        "import torch",
        "%pip install rich>=13",
        "import sys\nsys.path.append('lib/tools')",
        "%run lib/setup.ipynb",
    ]
    write(tmp_path, "lib/setup.ipynb", *setup)
    notebook = read(tmp_path, "%run lib/setup.ipynb", "import helper")
    assert [(wanted.module, str(wanted.origin)) for wanted in notebook.imports] == [
        ("torch", "lib/setup.ipynb, cell 1, line 1"),
        ("jax", "lib/tools/helper.py:1"),
    ]
    assert [(wanted.text, str(wanted.origin)) for wanted in notebook.installs] == [
        ("rich>=13", "lib/setup.ipynb, cell 2, line 1")
    ]
    write(tmp_path, "lib/setup.ipynb", "import jax")
    assert read_notebook(tmp_path, "a.ipynb").code_digest != notebook.code_digest


@pytest.mark.parametrize("name", ["nowhere.ipynb", "broken.ipynb", "../outside.ipynb"])
def test_a_notebook_that_is_run_and_cannot_be_read_is_left_to_the_cell(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "broken.ipynb").write_text("{")
    write(tmp_path, "outside.ipynb", "import torch")
    assert imports(read(root, f"%run {name}\nimport numpy")) == ["numpy"]


SCRIPT = (
    '# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n#   "numpy<2",\n#   "rich",\n# ]\n# ///\nx = 1'
)


def test_a_script_block_is_read_with_places(tmp_path: Path) -> None:
    notebook = read(tmp_path, "# title", SCRIPT)
    assert notebook.script is not None
    assert notebook.script.requires_python == ">=3.10"
    assert [(str(r.origin), r.text) for r in notebook.script.dependencies] == [
        ("a.ipynb, cell 2, line 4", "numpy<2"),
        ("a.ipynb, cell 2, line 5", "rich"),
    ]
    assert notebook.script_fault is None


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        (["# /// script\n# a = [\n# ///"], "a.ipynb, cell 1, line 1: the script block is not valid TOML"),
        (["# /// script\n# dependencies = 3\n# ///"], "must have a list of texts as `dependencies`"),
        (['# /// script\n# dependencies = ["a b"]\n# ///'], 'holds "a b", which is not a requirement'),
        (['# /// script\n# requires-python = "new"\n# ///'], 'holds requires-python = "new"'),
        (["# /// script\n# requires-python = 3\n# ///"], 'holds requires-python = "3"'),
        ([SCRIPT, SCRIPT], "more than one script block: a.ipynb, cell 1, line 1 and a.ipynb, cell 2, line 1"),
    ],
)
def test_a_script_block_that_cannot_be_read_is_told(tmp_path: Path, sources: list[str], fault: str) -> None:
    notebook = read(tmp_path, *sources)
    assert notebook.script is None
    assert notebook.script_fault is not None
    assert fault in notebook.script_fault


@pytest.mark.parametrize("source", ["# /// script\n# dependencies = []", "# /// other\n# a = 1\n# ///", "/// script"])
def test_what_is_no_complete_script_block_is_ignored(tmp_path: Path, source: str) -> None:
    notebook = read(tmp_path, source)
    assert (notebook.script, notebook.script_fault) == (None, None)


def test_the_digest_changes_with_code_and_tags_alone(tmp_path: Path) -> None:
    base = read(tmp_path, "x = 1", "y = 2").code_digest
    assert len(base) == 64
    assert read(tmp_path, "x = 1", "y = 2", kernelspec={"name": "z"}).code_digest == base
    assert read(tmp_path, "x = 1", "y = 3").code_digest != base
    assert read(tmp_path, "x = 1y = 2").code_digest != base
    document = json.loads((tmp_path / "a.ipynb").read_text())
    document["cells"][0]["metadata"]["tags"] = ["skip-execution"]
    (tmp_path / "a.ipynb").write_text(json.dumps(document))
    assert read_notebook(tmp_path, "a.ipynb").code_digest != read(tmp_path, "x = 1y = 2").code_digest


def test_odd_strings_in_a_notebooks_code_warn_nobody(tmp_path: Path) -> None:
    assert imports(read(tmp_path, "x = '\\d'\nx is 3\nimport a")) == ["a"]


@pytest.mark.parametrize(("kind", "sound"), [("code", False), ("markdown", True)])
def test_code_that_no_encoding_can_send_is_told_with_its_place(tmp_path: Path, kind: str, sound: bool) -> None:
    cell = f'{{"cell_type": "{kind}", "source": "x = 1\\n# \\ud800"}}'
    (tmp_path / "a.ipynb").write_text(f'{{"nbformat": 4, "cells": [{cell}]}}')
    fault = read_notebook(tmp_path, "a.ipynb").fault
    assert fault is None if sound else fault is not None and fault.endswith("in cell 1, line 2")


SPAN = {"iopub.execute_input": "2024-05-01T10:00:00.000000Z", "shell.execute_reply": "2024-05-01T10:00:02.500000Z"}


@pytest.mark.parametrize(
    ("cells", "metadata", "seconds"),
    [
        ([{"execution": SPAN}, {"execution": SPAN}], {}, 5.0),
        ([{"execution": SPAN}, {}], {"papermill": {"duration": 99}}, 2.5),
        (
            [{"ExecuteTime": {"start_time": "2021-02-03T04:05:06.500Z", "end_time": "2021-02-03T04:05:07.500Z"}}],
            {},
            1.0,
        ),
        ([{"ExecuteTime": {"start_time": "2021-02-03T04:05:06.500", "end_time": "2021-02-03T04:05:07.500"}}], {}, 1.0),
        ([{"papermill": {"duration": 0.5, "status": "completed"}}], {}, 0.5),
        ([{}], {"papermill": {"duration": 12.5}}, 12.5),
        ([{"execution": {**SPAN, "shell.execute_reply": "2024-05-01T09:00:00Z"}}], {}, None),
        ([{"execution": {**SPAN, "shell.execute_reply": "yesterday"}}], {}, None),
        ([{"execution": {**SPAN, "shell.execute_reply": "2024-05-01T12:00:00+02:00"}}], {}, None),
        ([{"execution": ["odd"], "papermill": {"duration": "long"}}], {"papermill": 3}, None),
        ([{}], {}, None),
    ],
)
def test_a_notebook_tells_what_it_took_when_it_was_saved(
    tmp_path: Path, cells: list[dict[str, Any]], metadata: dict[str, Any], seconds: float | None
) -> None:
    path = write(tmp_path, "a.ipynb", *["x = 1" for _ in cells], **metadata)
    document = json.loads(path.read_text())
    for cell, table in zip(document["cells"], cells, strict=True):
        cell["metadata"] = table
    path.write_text(json.dumps(document))
    assert read_notebook(tmp_path, "a.ipynb").recorded_seconds == seconds
