"""Promise: one odd file is that file's fault, and never ends a command with a traceback."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import fuzz

from envsolver.config.load import load_config
from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import Config
from envsolver.notebooks.read import read_notebook
from envsolver.notebooks.select import find_notebooks, select_notebooks
from envsolver.resolver.groups import read_group

DEEP = "[" * 3000 + "]" * 3000


def test_made_up_odd_files_end_in_a_value_or_a_fault_with_its_place() -> None:
    assert fuzz(12, range(300)) == {}


@pytest.mark.parametrize(
    "text",
    [
        f"[tool.envsolver]\nenv = {DEEP}",
        f"[tool.envsolver]\ntimeout = {'9' * 5000}",
        f"[tool.envsolver]\ntimeout = 0x{'f' * 4000}",
        f"[tool.envsolver.env]\na = {'{a = ' * 200}1{'}' * 200}",
    ],
)
def test_an_odd_configuration_is_one_fault_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"^pyproject\.toml"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a; " + b"(" * 500 + b"python_version>'3'" + b")" * 500, "requirements/a.in:1: .*: .*nested"),
        (b"numpy\n\xff", "requirements/a.in: not UTF-8 text: byte 0xff in line 2"),
        (b"\xff\xfea", "requirements/a.in: not the UTF-16 text that its first bytes announce"),
    ],
)
def test_an_odd_requirements_file_is_one_fault_with_its_place(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "a.in").write_bytes(data)
    with pytest.raises(ConfigurationError, match=said):
        read_group(Config(root=tmp_path), "a")


@pytest.mark.parametrize(
    "source",
    [
        "import a\nx = " + " + ".join("1" * 6000),
        "import a, sys; sys.path.append(" + " + ".join(["'x'"] * 900) + ")",
        "import a\nif " + "not " * 900 + "x:\n  pass",
        "import a\n\0",
    ],
)
def test_what_a_cell_imports_is_found_even_in_code_too_deep_to_be_followed(tmp_path: Path, source: str) -> None:
    cell = {"cell_type": "code", "source": source}
    (tmp_path / "n.ipynb").write_text(json.dumps({"nbformat": 4, "cells": [cell]}))
    found = read_notebook(tmp_path, "n.ipynb")
    assert (found.fault, [wanted.module for wanted in found.imports]) == (None, ["a"])


@pytest.mark.parametrize("value", ["9" * 400, "-1", "null", '"x"', "[]"])
def test_odd_numbers_in_metadata_mean_no_limit(tmp_path: Path, value: str) -> None:
    metadata = f'{{"execution": {{"timeout": {value}}}, "papermill": {{"duration": {value}}}}}'
    (tmp_path / "n.ipynb").write_text(f'{{"nbformat": 4, "cells": [], "metadata": {metadata}}}')
    found = read_notebook(tmp_path, "n.ipynb")
    assert (found.fault, found.cell_timeout, found.recorded_seconds) == (None, None, None)


@pytest.fixture
def odd_name(tmp_path: Path) -> Path:
    """Lay out a notebook whose name is no UTF-8."""
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.ipynb")).write_text('{"nbformat": 4, "cells": []}')
    except OSError:
        pytest.skip("this file system has no such names")
    return tmp_path


def test_a_notebook_whose_name_is_no_text_gets_one_clear_reason(odd_name: Path) -> None:
    config = Config(root=odd_name)
    (path,) = find_notebooks(config)
    assert path == r"caf\xe9.ipynb"
    assert read_notebook(odd_name, path).fault == "the name of the file, or of its folder, is not UTF-8 text; rename it"
    assert select_notebooks(config, [os.fsdecode(b"caf\xe9.ipynb")], odd_name) == (path,)


def envsolver(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "envsolver", *arguments]
    return subprocess.run(command, cwd=directory, env={**os.environ, **variables}, capture_output=True, check=False)


def test_what_the_outputs_encoding_cannot_hold_is_printed_escaped(tmp_path: Path) -> None:
    said = envsolver(tmp_path, "run", "n\N{ROCKET}.ipynb", PYTHONIOENCODING="latin-1:strict")
    assert rb'No notebook matches "n\U0001f680.ipynb"' in said.stderr


def test_a_damaged_history_is_one_fault_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".envsolver").mkdir()
    connection = sqlite3.connect(tmp_path / ".envsolver" / "history.sqlite")
    connection.execute("CREATE TABLE result (notebook)")
    connection.close()
    said = envsolver(tmp_path, "history")
    assert said.returncode == ConfigurationError.exit_code
    assert b"history.sqlite: is not a history that can be read" in said.stderr
