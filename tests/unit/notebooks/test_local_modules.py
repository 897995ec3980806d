"""Promise: what a project's own package imports is found once for each file, however its modules import each other."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from envsolver.core.settings import NotebookSettings
from envsolver.notebooks.findings import ImportStatement
from envsolver.notebooks.local_modules import FileMention, LocalModules
from envsolver.notebooks.read import read_notebook, read_notebooks


def test_modules_that_all_import_each_other_are_followed_once_each(tmp_path: Path) -> None:
    package = tmp_path / "src" / "mine"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n", encoding="utf-8")
    (package / "__init__.py").touch()
    names = [f"m{number}" for number in range(300)]
    everyone = "".join(f"import mine.{name}\n" for name in names[:30])
    for number, name in enumerate(names):
        text = f"{everyone}import mine.m{number + 1}\nimport six\n"
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    local = LocalModules(tmp_path, tmp_path, (), ())
    files = local.own_files([ImportStatement(module="mine.m0", line=1)])
    found = list(local.imports_of_own(files))
    assert Counter(each.mention.module for each in found) == {"six": len(names)}


def test_the_package_is_looked_through_once_for_all_notebooks_that_start_at_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n", encoding="utf-8")
    for name, text in {"__init__": "import mine.a", "a": "import six", "b": "import idna"}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    sources = {
        "one.ipynb": "import mine",
        "two.ipynb": "import mine.a",
        "three.ipynb": "import mine",
        "four.ipynb": "1",
    }
    sources["five.ipynb"] = "import mine.b"
    for name, source in sources.items():
        cells = [nbformat.v4.new_code_cell(source)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / name)
    alone = {name: read_notebook(tmp_path, name) for name in sources}
    walks: list[tuple[Path, ...]] = []
    walk = LocalModules.imports_of_own

    def counted(self: LocalModules, files: tuple[Path, ...]) -> Iterator[FileMention]:
        walks.append(files)
        return walk(self, files)

    monkeypatch.setattr(LocalModules, "imports_of_own", counted)

    together = read_notebooks(tmp_path, dict.fromkeys(sources, NotebookSettings()))

    assert together == alone
    modules = {name: {each.module for each in found.own_imports} for name, found in together.items()}
    assert modules == {
        "one.ipynb": {"six"},
        "two.ipynb": {"six"},
        "three.ipynb": {"six"},
        "four.ipynb": set(),
        "five.ipynb": {"idna", "six"},
    }
    assert len(walks) == len(set(walks)) == len({"mine", "mine.a", "mine.b", "none"})


def test_what_a_file_imports_outside_of_functions_is_found_by_parsing_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """import one
class C:
    import two
    def method(self):
        import three
        def inner():
            import four
@__import__("five").mark
async def function():
    import six
try:
    import seven
finally:
    pass
"""
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    parsed: list[str] = []
    parse = ast.parse

    def counted(source: str) -> ast.Module:
        parsed.append(source)
        return parse(source)

    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", counted)
        found = list(LocalModules(tmp_path, tmp_path, (), ()).imports_of([tmp_path / "mine.py"]))
    assert [each.mention.module for each in found] == ["one", "two", "five", "seven"]
    assert len(parsed) == 1
