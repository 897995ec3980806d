"""Promise: what a project's own package imports is found once for each file, however its modules import each other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from envsolver.notebooks.findings import ImportStatement
from envsolver.notebooks.local_modules import LocalModules


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
    found = list(local.imports_of_own([ImportStatement(module="mine.m0", line=1)]))
    assert Counter(each.mention.module for each in found) == {"six": len(names)}
