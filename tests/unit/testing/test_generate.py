"""Promises of test files: each notebook gets its own, a person's edits last, and one that runs nothing is found out."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from envsolver.config.load import load_config, settings_for
from envsolver.core.errors import ConfigurationError, NothingToRunError
from envsolver.core.paths import TEST_FILES
from envsolver.core.settings import Config
from envsolver.notebooks.select import find_notebooks
from envsolver.testing.files import read_test_file
from envsolver.testing.generate import (
    Coverage,
    check,
    coverage_lines,
    file_names,
    generate,
    resolve_names,
    with_settings,
)

HEAD = "from envsolver.testing import NotebookTestCase\n"


class Books:
    """A project with notebooks and test files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.configuration("")

    def configuration(self, text: str) -> None:
        (self.root / "envsolver.toml").write_text(text)

    @property
    def config(self) -> Config:
        return load_config(self.root)

    def notebook(self, path: str, *cells: str, language: str = "python") -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        made = [new_code_cell(cell) for cell in cells or ["x = 1"]]
        metadata = {"language_info": {"name": language}}
        nbformat.write(new_notebook(cells=[new_markdown_cell("# Title"), *made], metadata=metadata), file)

    def test_file(self, name: str, body: str, head: str = HEAD) -> Path:
        file = self.root / TEST_FILES / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + body)
        return file

    def generate(self) -> tuple[str, ...]:
        return generate(self.config, find_notebooks(self.config)).written


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def test_a_generated_file_names_its_notebook_and_nothing_more(books: Books) -> None:
    books.notebook("demos/core/quickstart.ipynb")
    assert books.generate() == ("tests/booktests/tb_quickstart.py",)
    source = (books.root / "tests/booktests/tb_quickstart.py").read_text()
    assert 'class TestQuickstart(NotebookTestCase):\n    notebook = "demos/core/quickstart.ipynb"\n' in source
    assert len(source.splitlines()) < 8


def test_generating_twice_writes_nothing_the_second_time(books: Books) -> None:
    books.notebook("a.ipynb")
    assert books.generate()
    assert books.generate() == ()


def test_an_edited_file_is_kept_whatever_it_is_called(books: Books) -> None:
    books.notebook("a.ipynb")
    books.notebook("b.ipynb")
    body = "class TestMine(NotebookTestCase):\n    notebook = 'a.ipynb'\n    skip = 'not now'\n"
    file = books.test_file("tb_b", body)
    assert len(books.generate()) == 1
    assert file.read_text() == HEAD + body


def test_excluded_notebooks_get_no_file_and_the_reason_is_told(books: Books) -> None:
    books.configuration("exclude = ['old.ipynb']\n[notebook.'paid.ipynb']\nskip = 'needs a licence'\n")
    for name in ("a", "old", "paid"):
        books.notebook(f"{name}.ipynb")
    books.notebook("stats.ipynb", language="R")
    made = generate(books.config, find_notebooks(books.config))
    assert made.written == ("tests/booktests/tb_a.py",)
    assert dict(made.excluded) == {
        "paid.ipynb": "needs a licence",
        "stats.ipynb": "it is written in r; only Python notebooks are run",
    }


def test_a_file_that_is_no_python_stops_generating_since_it_may_belong_to_any_notebook(books: Books) -> None:
    books.notebook("a.ipynb")
    books.test_file("tb_a", "class TestA(NotebookTestCase\n")
    with pytest.raises(ConfigurationError, match=r"tests/booktests/tb_a\.py: is not valid Python"):
        books.generate()


def test_awkward_paths_are_written_so_that_python_reads_them_back(books: Books) -> None:
    paths = [
        "sp ace/it's.ipynb",
        'quo"te.ipynb',
        "naïve ∫.ipynb",
        "back\\slash.ipynb",
        "{brace}.ipynb",
        "new\nline.ipynb",
    ]
    for path in paths:
        books.notebook(path)
    files = books.generate()
    assert len(files) == len(paths)
    read = [read_test_file(path, (books.root / path).read_bytes()) for path in files]
    assert sorted(str(each.notebook) for file in read for each in file.classes) == sorted(paths)


@pytest.mark.parametrize(
    ("notebooks", "expected"),
    [
        (["demos/quickstart.ipynb"], ["tb_quickstart"]),
        (["core/intro.ipynb", "ml/intro.ipynb"], ["tb_core_intro", "tb_ml_intro"]),
        (["01 Erste Schritte.ipynb"], ["tb_01_erste_schritte"]),
        (["Naïve Übung.ipynb"], ["tb_naive_ubung"]),
        (["∫∫.ipynb"], ["tb_notebook"]),
        (["class.ipynb"], ["tb_class"]),
    ],
)
def test_names_are_readable(notebooks: list[str], expected: list[str]) -> None:
    assert list(file_names(notebooks).values()) == expected


ALIKE = ["a-b.ipynb", "a_b.ipynb", "A_B.ipynb", "a b.ipynb", "x/a-b.ipynb", "x/a_b.ipynb", "y/x/a-b.ipynb"]


def test_names_are_identifiers_and_unique_even_where_case_does_not_count() -> None:
    names = file_names(ALIKE)
    assert len({name.lower() for name in names.values()}) == len(ALIKE)
    assert all(name.isidentifier() and name.isascii() for name in names.values())


def test_names_depend_neither_on_the_order_nor_on_what_is_generated_first() -> None:
    names = file_names(ALIKE)
    assert file_names(ALIKE[::-1]) == names
    for path in ALIKE:
        others = [name for other, name in names.items() if other != path]
        assert file_names(ALIKE, others)[path] == names[path]


def test_a_name_that_another_file_has_is_not_given_again() -> None:
    assert file_names(["x/a.ipynb"], ["tb_a"]) == {"x/a.ipynb": "tb_x_a"}
    taken = ["tb_a", "tb_x_a"]
    third = file_names(["x/a.ipynb"], taken)["x/a.ipynb"]
    fourth = file_names(["x/a.ipynb"], [*taken, third])["x/a.ipynb"]
    assert len({*taken, third, fourth}) == 4


def test_check_counts_and_finds_nothing_wrong_with_what_was_generated(books: Books) -> None:
    books.configuration("[notebook.'paid.ipynb']\nskip = 'needs a licence'\n")
    for number in range(32):
        books.notebook(f"n{number}.ipynb")
    books.notebook("paid.ipynb")
    books.generate()
    found = check(books.config)
    assert found.good
    lines = list(coverage_lines(found))
    assert lines[-1] == "33 notebooks, 32 test files, 97%"
    assert "  paid.ipynb  needs a licence" in lines


def test_check_names_a_notebook_without_a_test_and_a_test_without_a_notebook(books: Books) -> None:
    books.notebook("a.ipynb")
    books.test_file("tb_gone", "class TestGone(NotebookTestCase):\n    notebook = 'gone.ipynb'\n")
    found = check(books.config)
    assert found.missing == ("a.ipynb",)
    assert found.orphaned == (("tests/booktests/tb_gone.py", "gone.ipynb"),)
    assert not found.good


def test_nearly_all_is_not_all() -> None:
    all_of_them = tuple(f"n{number}.ipynb" for number in range(400))
    coverage = Coverage(
        notebooks=all_of_them, files=(), covered=all_of_them, excluded=(), missing=(), orphaned=(), idle=()
    )
    assert coverage.percent == 100
    assert replace(coverage, covered=all_of_them[1:]).percent == 99


def test_no_notebooks_at_all_is_an_error_and_not_a_hundred_per_cent(books: Books) -> None:
    with pytest.raises(NothingToRunError):
        check(books.config)


def test_a_test_skipped_with_a_reason_is_an_exclusion(books: Books) -> None:
    books.notebook("a.ipynb")
    books.test_file("tb_a", "class TestA(NotebookTestCase):\n    notebook = 'a.ipynb'\n    skip = 'too hot'\n")
    found = check(books.config)
    assert found.excluded == (("a.ipynb", "too hot (tests/booktests/tb_a.py)"),)
    assert found.percent == 0
    assert found.good


NOTEBOOK = "    notebook = 'a.ipynb'\n"

IDLE = {
    "another base": "import unittest\nclass TestA(unittest.TestCase):\n" + NOTEBOOK,
    "no class": "notebook = 'a.ipynb'\n",
    "no notebook": "class TestA(NotebookTestCase):\n    pass\n",
    "computed": "class TestA(NotebookTestCase):\n    notebook = 'a' + '.ipynb'\n",
    "skip without reason": "class TestA(NotebookTestCase):\n    skip = ''\n" + NOTEBOOK,
    "skip is true": "class TestA(NotebookTestCase):\n    skip = True\n" + NOTEBOOK,
    "bare decorator": "import unittest\n@unittest.skip\nclass TestA(NotebookTestCase):\n" + NOTEBOOK,
    "pytest decorator": "import pytest\n@pytest.mark.skip\nclass TestA(NotebookTestCase):\n" + NOTEBOOK,
    "overridden": "class TestA(NotebookTestCase):\n" + NOTEBOOK + "    def test_notebook(self):\n        pass\n",
    "removed": "class TestA(NotebookTestCase):\n" + NOTEBOOK + "    test_notebook = None\n",
    "hidden": "class TestA(NotebookTestCase):\n" + NOTEBOOK + "    __test__ = False\n",
    "all cells skipped": "class TestA(NotebookTestCase):\n    skip_cells = ('x', 'y')\n" + NOTEBOOK,
    "stopped at once": "class TestA(NotebookTestCase):\n    stop_at = 'x = 1'\n" + NOTEBOOK,
    "inherited": "class Base(NotebookTestCase):\n    def test_notebook(self): pass\n"
    + NOTEBOOK
    + "class TestA(Base):\n"
    + NOTEBOOK,
    "not python": "class TestA(NotebookTestCase\n",
}


@pytest.mark.parametrize("body", IDLE.values(), ids=IDLE)
def test_a_test_file_that_runs_nothing_is_found_out(books: Books, body: str) -> None:
    books.notebook("a.ipynb", "x = 1", "y = 2")
    books.test_file("tb_a", body)
    found = check(books.config)
    assert [path for path, _ in found.idle][:1] == ["tests/booktests/tb_a.py"]
    assert found.missing == ("a.ipynb",)
    assert not found.good


LIVE = {
    "plain": HEAD + "class TestA(NotebookTestCase):\n" + NOTEBOOK,
    "renamed": "from envsolver.testing import NotebookTestCase as N\nclass TestA(N):\n" + NOTEBOOK,
    "module": "from envsolver import testing\nclass TestA(testing.NotebookTestCase):\n" + NOTEBOOK,
    "dotted": "import envsolver.testing\nclass TestA(envsolver.testing.NotebookTestCase):\n" + NOTEBOOK,
    "own base": HEAD
    + "class Base(NotebookTestCase):\n    timeout = 5\n    notebook = 'a.ipynb'\nclass TestA(Base):\n    pass\n",
    "more tests": HEAD + "class TestA(NotebookTestCase):\n" + NOTEBOOK + "    def test_x(self): pass\n",
    "calls super": HEAD
    + "class TestA(NotebookTestCase):\n"
    + NOTEBOOK
    + "    def test_notebook(self):\n        super().test_notebook()\n",
    "value instead": HEAD
    + "class TestA(NotebookTestCase):\n"
    + NOTEBOOK
    + "    test_notebook = None\n    def test_x(self):\n        assert self.value('x') == 1\n",
    "skipped on one system": HEAD
    + "import sys, unittest\n@unittest.skipIf(sys.platform == 'darwin', 'slow')\nclass TestA(NotebookTestCase):\n"
    + NOTEBOOK,
    "annotated": HEAD + "class TestA(NotebookTestCase):\n    notebook: str = 'a.ipynb'\n",
}


@pytest.mark.parametrize("source", LIVE.values(), ids=LIVE)
def test_a_test_file_that_runs_its_notebook_counts_however_it_is_written(books: Books, source: str) -> None:
    books.notebook("a.ipynb")
    books.test_file("tb_a", source, head="")
    found = check(books.config)
    assert found.idle == ()
    assert found.covered == ("a.ipynb",)


@pytest.mark.parametrize(
    "body",
    [
        "import unittest\n@unittest.skip('too hot')\nclass TestA(NotebookTestCase):\n" + NOTEBOOK,
        "import pytest\n@pytest.mark.skip(reason='too hot')\nclass TestA(NotebookTestCase):\n" + NOTEBOOK,
        "import pytest\npytestmark = pytest.mark.skip(reason='too hot')\nclass TestA(NotebookTestCase):\n" + NOTEBOOK,
        "class TestA(NotebookTestCase):\n" + NOTEBOOK + "    def setUp(self):\n        self.skipTest('too hot')\n",
        "class TestA(NotebookTestCase):\n"
        + NOTEBOOK
        + "    def test_notebook(self):\n        self.skipTest('too hot')\n",
    ],
)
def test_every_way_to_skip_with_a_reason_is_an_exclusion(books: Books, body: str) -> None:
    books.notebook("a.ipynb")
    books.test_file("tb_a", body)
    assert check(books.config).excluded == (("a.ipynb", "too hot (tests/booktests/tb_a.py)"),)


def test_names_of_test_files_stand_for_their_notebooks(books: Books) -> None:
    books.notebook("nb/a.ipynb")
    books.notebook("nb/b.ipynb")
    books.generate()
    names = ["tb_a", "tests/booktests/tb_b.py", "nb/*.ipynb"]
    found, _ = resolve_names(books.config, names, cwd=books.root / "nb")
    assert found == (str(books.root / "nb/a.ipynb"), str(books.root / "nb/b.ipynb"), "nb/*.ipynb")


def test_a_notebook_named_by_its_test_file_runs_with_that_files_settings(books: Books) -> None:
    books.configuration("timeout = 9\n[notebook.'a.ipynb']\nreplace = { a = 'b' }\ncell-timeout = 3\n")
    books.notebook("a.ipynb")
    books.test_file("tb_a", "class TestA(NotebookTestCase):\n    replace = {'c': 'd'}\n    timeout = 7\n" + NOTEBOOK)
    _, config = resolve_names(books.config, ["tb_a"], cwd=books.root)
    settings = settings_for(config, "a.ipynb")
    assert (settings.replace, settings.timeout, settings.cell_timeout) == ({"a": "b", "c": "d"}, 7, 3)


def test_a_wrong_name_is_told_with_what_is_near(books: Books) -> None:
    books.notebook("quickstart.ipynb")
    books.generate()
    with pytest.raises(NothingToRunError, match="Near: tb_quickstart"):
        resolve_names(books.config, ["tb_quickstrat"], cwd=books.root)


def test_a_directory_that_looks_like_a_test_files_name_is_a_directory(books: Books) -> None:
    books.notebook("tb_a/x.ipynb")
    assert resolve_names(books.config, ["tb_a"], cwd=books.root)[0] == ("tb_a",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timeout": "soon"}, "TestA: timeout: must be a number"),
        ({"timeout": -1}, "TestA: timeout: must be greater than 0"),
        ({"skip_cells": "plot("}, "TestA: skip_cells: must be a list"),
        ({"memory": "much"}, "TestA: memory: must be a size"),
    ],
)
def test_a_setting_that_is_wrong_is_told_in_the_words_of_the_class(
    books: Books, given: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_settings(books.config, "a.ipynb", given, owner="TestA")
    assert said in caught.value.message


def test_what_is_written_can_be_parsed_and_imports_only_the_base_class(books: Books) -> None:
    books.notebook("a.ipynb")
    module = ast.parse((books.root / books.generate()[0]).read_text())
    imported = [node for node in ast.walk(module) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in imported] == [HEAD.strip()]
