"""Promise: every fault of a configuration is told with its file and line, all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import faults, project

from envsolver.config.load import load_config
from envsolver.core.errors import ConfigurationError

TABLE = [
    ("timeout = '600'", 'tool.envsolver.timeout: must be a number, not the text "600"'),
    ("timeout = true", "tool.envsolver.timeout: must be a number, not true"),
    ("timeout = 0", "tool.envsolver.timeout: must be greater than 0, not the number 0"),
    ("timeout = inf", "tool.envsolver.timeout: must be a finite number"),
    ("timeot = 3", "tool.envsolver.timeot: is not a known key; did you mean timeout?"),
    ("cell_timeout = 3", "tool.envsolver.cell_timeout: is not a known key; did you mean cell-timeout?"),
    ("qqq = 3", "tool.envsolver.qqq: is not a known key"),
    ("root = 'x'", "tool.envsolver.root: is not a key of the configuration"),
    ("notebooks = 'a.ipynb'", 'tool.envsolver.notebooks: must be a list, in square brackets, not the text "a.ipynb"'),
    ("notebooks = ['/a']", 'tool.envsolver.notebooks: "/a" is absolute'),
    ("notebooks = ['a/../../b']", 'tool.envsolver.notebooks: "a/../../b" leads out of the project'),
    ("notebooks = ['a\\b']", 'tool.envsolver.notebooks: "a\\b" holds a backslash'),
    ("notebooks = ['']", "tool.envsolver.notebooks: holds an empty text"),
    ("notebooks = ['requirements']", 'write "requirements/**"'),
    ("exclude = ['~/x']", 'tool.envsolver.exclude: "~/x" is absolute'),
    ("python = [3.10]", "tool.envsolver.python.0: must be text, in quotes, not the number 3.1"),
    ("python = ['3']", 'tool.envsolver.python: "3" is not a Python version such as "3.11" or "3.11.4"'),
    ("python = ['>=3.11']", 'tool.envsolver.python: ">=3.11" is not a Python version'),
    ("python = ['3.11', '3.11']", 'tool.envsolver.python: "3.11" is named twice'),
    ("env = { 'A B' = 'x' }", 'tool.envsolver.env."A B": is not a name that an environment variable can have'),
    ("env = { A = 1 }", "tool.envsolver.env.A: must be text, in quotes, not the number 1"),
    ("env = 'A=1'", 'tool.envsolver.env: must be a table, not the text "A=1"'),
    ("pass-env = ['A*B']", 'tool.envsolver.pass-env: "A*B" is not the name of an environment variable'),
    ("output-limit = '3 parsecs'", 'tool.envsolver.output-limit: must be a size such as "4GiB", not the text'),
    ("output-limit = true", 'tool.envsolver.output-limit: must be a size such as "4GiB", not true'),
    ("exclude-newer = '30.6.2025'", 'tool.envsolver.exclude-newer: "30.6.2025" is not a date such as 2025-06-30'),
    ("exclude-newer = '2025-02-30'", 'tool.envsolver.exclude-newer: "2025-02-30" is not a date'),
    ("exclude-newer = 2025-06-30T10:00:00", "has no time zone; put a Z at its end for UTC"),
    ("modules = { 'a-b' = 'c' }", "tool.envsolver.modules.a-b: is not a name that can be imported"),
    ("modules = { a = 'b>=1' }", 'tool.envsolver.modules.a: "b>=1" is not the name of a distribution'),
    ("groups.ml = 3", "tool.envsolver.groups.ml: must be a table, not the number 3"),
    ("groups.ml.cores = '3'", 'tool.envsolver.groups.ml.cores: must be a whole number, not the text "3"'),
    ("groups.ml.cores = 0", "tool.envsolver.groups.ml.cores: must be at least 1, not the number 0"),
    ("groups.ml.cores = true", "tool.envsolver.groups.ml.cores: must be a whole number, not true"),
    ("groups.ml.memory = '4 GB of'", "tool.envsolver.groups.ml.memory: must be a size"),
    ("groups.ml.memory = '0 GiB'", "tool.envsolver.groups.ml.memory: must be a size"),
    ("groups.ml.memory = '4Gib/s'", "tool.envsolver.groups.ml.memory: must be a size"),
    ("groups.ml.memory = -1", "tool.envsolver.groups.ml.memory: must be a size"),
    ("groups.ml.lock = 'no'", 'tool.envsolver.groups.ml.lock: must be true, false or "uv.lock", not the text "no"'),
    ("groups.ml.services = ['bem']", 'tool.envsolver.groups.ml.services: no service is called "bem"'),
    (
        "groups.ml.warnings = ['eror']",
        'tool.envsolver.groups.ml.warnings: "eror" must begin with one of default, always',
    ),
    ("groups.ml.requires-python = 'new'", 'tool.envsolver.groups.ml.requires-python: "new" is not a set of version'),
    ("booktests = '../outside'", 'tool.envsolver.booktests: "../outside" leads out of the project'),
    ("booktests = '/tmp/outside'", 'tool.envsolver.booktests: "/tmp/outside" is absolute'),
    ("booktests = ''", "tool.envsolver.booktests: holds an empty text"),
    ("groups.ml.requirements = '../x.in'", 'tool.envsolver.groups.ml.requirements: "../x.in" leads out'),
    ("groups.gp.cores = 1", "tool.envsolver.groups.gp.requirements: the file requirements/gp.in does not exist"),
    ("groups.'a b'.requirements = 'requirements/ml.in'", '"a b" cannot name a group'),
    ("services.s.ready = 'http://x/'", "tool.envsolver.services.s.command: is missing"),
    ("services.s.command = 'python x.py'", "tool.envsolver.services.s.command: holds no {port}"),
    ("services.s = { command = '{port}', ready = 'ftp://x' }", '"ftp://x" is not an http address'),
    ("notebook.'a.ipynb'.cores = 1", 'tool.envsolver.notebook."a.ipynb": no such notebook'),
    ("notebook.'*.ipynb'.group = 'mll'", 'no group is called "mll"; did you mean ml?'),
    ("notebook.'*.ipynb'.skip = ''", 'notebook."*.ipynb".skip: must be text that is not empty, not an empty text'),
    ("notebook.'*.ipynb'.skip = true", 'notebook."*.ipynb".skip: must be text, in quotes, not true'),
    ("notebook.'*.ipynb'.parameters = { 'a b' = 1 }", '.parameters."a b": is not a name that Python can assign to'),
    ("notebook.'*.ipynb'.parameters = { class = 1 }", ".parameters.class: is not a name that Python can assign to"),
    ("notebook.'*.ipynb'.parameters = { a = [1] }", ".parameters.a: must be text, a number, true or false, not a list"),
    ("notebook.'*.ipynb'.parameters = { a = 2025-01-01 }", ".parameters.a: must be text, a number, true or false, not"),
    ("notebook.'/a/*.ipynb'.cores = 1", 'notebook."/a/*.ipynb": "/a/*.ipynb" is absolute'),
    ("notebooks.'a.ipynb'.group = 'ml'", 'stand under [tool.envsolver.notebook."<path or glob>"]'),
]


@pytest.mark.parametrize(("line", "expected"), TABLE, ids=[line for line, _ in TABLE])
def test_one_fault_is_told_alone_with_its_line(tmp_path: Path, line: str, expected: str) -> None:
    project(tmp_path, f"[tool.envsolver]\n# a comment\n{line}\n", ml="torch\n")
    (found,) = faults(tmp_path)
    assert found.startswith("pyproject.toml:3: ")
    assert expected in found


def test_a_notebook_that_is_not_there_has_the_nearest_of_its_folder_named(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/tea.ipynb").touch()
    (found,) = faults(project(tmp_path, "[tool.envsolver.notebook.'docs/teas.ipynb']\ncores = 1\n"))
    assert found.endswith(": no such notebook; did you mean docs/tea.ipynb?")


def test_where_there_are_no_groups_it_says_how_to_write_them(tmp_path: Path) -> None:
    (found,) = faults(project(tmp_path, "[tool.envsolver.notebook.'*.ipynb']\ngroup = 'docs'\n"))
    assert 'no group is called "docs"; the configuration has no groups yet: `envsolver init`' in found


def test_all_faults_come_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
[tool.envsolver]
timeout = "600"
notebooks = ["/abs"]
[tool.envsolver.groups.ml]
cores = "3"
memry = "4GiB"
[tool.envsolver.groups.gp]
env = { X = 3 }
[tool.envsolver.notebook."*.ipynb"]
group = "none"
"""
    found = faults(project(tmp_path, text, ml="torch\n"))
    assert [fault.split(":")[1] for fault in found] == ["3", "4", "6", "7", "8", "9", "11"]


def test_several_faults_in_one_list_are_all_told(tmp_path: Path) -> None:
    found = faults(project(tmp_path, '[tool.envsolver]\npython = ["3.11", 3, 4, "three"]\n'))
    assert [fault.split(": ")[1] for fault in found] == [
        "tool.envsolver.python.1",
        "tool.envsolver.python.2",
        "tool.envsolver.python",
    ]


def test_a_fault_in_the_own_file_has_no_prefix(tmp_path: Path) -> None:
    (tmp_path / "envsolver.toml").write_text("\ntimeout = '3'\n[tool.envsolver]\n", encoding="utf-8")
    assert faults(tmp_path) == (
        'envsolver.toml:2: timeout: must be a number, not the text "3"',
        "envsolver.toml:3: tool: in envsolver.toml the keys stand at the top, without [tool.envsolver]",
    )


def test_a_configuration_that_is_no_table_is_told(tmp_path: Path) -> None:
    assert faults(project(tmp_path, "[tool]\nenvsolver = 3\n")) == (
        "pyproject.toml:2: tool.envsolver: must be a table, not the number 3",
    )


def test_lines_are_found_in_quoted_dotted_and_inline_keys(tmp_path: Path) -> None:
    text = '''
[tool]
envsolver.env = { A = "1" }
x = """
[tool.envsolver]
timeout = "wrong"
"""
[tool.envsolver."groups".'ml']
"cores" = "3"
services = [
  "a",
]
'''
    found = faults(project(tmp_path, text, ml="torch\n"))
    assert [fault.split(" ")[0] for fault in found] == ["pyproject.toml:9:", "pyproject.toml:10:"]


def test_invalid_toml_is_told_with_line_and_column(tmp_path: Path) -> None:
    (found,) = faults(project(tmp_path, "[tool.envsolver]\ntimeout = = 3\n"))
    assert found.startswith("pyproject.toml:2:11: is not valid TOML: ")


def test_notebooks_as_list_and_table_at_once_is_explained(tmp_path: Path) -> None:
    text = '[tool.envsolver]\nnotebooks = ["*.ipynb"]\n[tool.envsolver.notebooks."a.ipynb"]\ngroup = "ml"\n'
    project(tmp_path, text)
    with pytest.raises(ConfigurationError, match="is not valid TOML") as caught:
        load_config(tmp_path)
    assert '[tool.envsolver.notebook."<path or glob>"]' in caught.value.tip


def test_a_wrong_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.envsolver]\nenv = { A = '\xe9' }\n")
    assert faults(tmp_path) == ("pyproject.toml:2: not UTF-8 text: byte 0xe9",)


def test_a_byte_order_mark_is_let_pass(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("\ufeff[tool.envsolver]\ntimeout = 3\n", encoding="utf-8")
    assert load_config(tmp_path).timeout == 3.0


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("booktests = 'link/tests'\n", "booktests"),
        ("[groups.ml]\nrequirements = 'link/ml.in'\n", "groups.ml.requirements"),
    ],
)
def test_no_link_leads_what_is_written_out_of_the_project(tmp_path: Path, text: str, key: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "ml.in").touch()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "envsolver.toml").write_text(text)
    (fault,) = faults(root)
    assert f"{key}: " in fault
    assert "leads out of the project by a link" in fault


def test_a_link_within_the_project_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "envsolver.toml").write_text("booktests = 'link/tests'\n")
    assert load_config(tmp_path).booktests == "link/tests"
