"""Promise: a configuration is either right, or every fault of it is told at once, each with its place."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from envsolver.config.load import find_root, load_config, settings_for
from envsolver.config.schema import json_schema, reference_rows
from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import Config, GroupSettings, NotebookSettings, given, merged

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def project(root: Path, text: str = "", **files: str) -> Path:
    """Write a project with a pyproject.toml and requirements files."""
    (root / "requirements").mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (root / "requirements" / f"{name}.in").write_text(content, encoding="utf-8")
    return root


def faults(root: Path) -> tuple[str, ...]:
    """Return the faults of a project's configuration."""
    with pytest.raises(ConfigurationError) as caught:
        load_config(root)
    assert caught.value.exit_code == 2
    return caught.value.faults


def test_a_project_without_configuration_gets_the_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path)
    assert config.notebooks == ("**/*.ipynb",)
    assert config.python == (RUNNING,)
    assert config.groups == {}
    assert (config.root, config.source) == (tmp_path.resolve(), "")


def test_everything_of_a_full_configuration_arrives(tmp_path: Path) -> None:
    (tmp_path / "slow.ipynb").touch()
    text = """
[tool.envsolver]
notebooks = ["demos/**/*.ipynb"]
exclude = ["demos/old/**"]
python = ["3.11", "3.12.1"]
timeout = 100
cell-timeout = 7.5
env = { MPLBACKEND = "Agg" }
pass-env = ["CI", "MY_*"]
output-limit = "2MiB"
modules = { "my.module" = "My-Dist" }
exclude-newer = 2025-06-30

[tool.envsolver.groups.ml]
requirements = "requirements/ml.in"
notebooks = ["demos/ml/**"]
cores = 2
memory = "4GiB"
gpus = 1
services = ["beam"]
env = { X = "1" }
timeout = 5
requires-python = ">=3.11"
lock = false

[tool.envsolver.services.beam]
command = "python beam.py --port {port}"
ready = "http://127.0.0.1:{port}/Info"
ready-timeout = 3
env = { BEAM_URL = "http://127.0.0.1:{port}" }

[tool.envsolver.notebook."slow.ipynb"]
group = "ml"
cores = 3
memory = 1000
replace = { "n = 2" = "n = 1" }
skip-cells = ["plot("]
stop-at = "# appendix"
parameters = { n = 3, x = 1.5, name = "a", fast = true }
requires-python = "<3.13"
"""
    config = load_config(project(tmp_path, text, ml="torch\n"))
    assert (config.timeout, config.cell_timeout, config.output_limit) == (100.0, 7.5, 2 * 1024**2)
    assert config.exclude_newer == "2025-06-30"
    assert config.groups["ml"].memory == 4 * 1024**3
    assert config.groups["ml"].services == ("beam",)
    assert not config.groups["ml"].lock
    assert config.services["beam"].ready_timeout == 3.0
    assert config.source == "pyproject.toml"
    settings = settings_for(config, "slow.ipynb")
    assert settings.parameters == {"n": 3, "x": 1.5, "name": "a", "fast": True}
    assert (settings.cores, settings.memory, settings.stop_at) == (3, 1000, "# appendix")


def test_the_same_keys_stand_at_the_top_of_an_own_file(tmp_path: Path) -> None:
    (tmp_path / "envsolver.toml").write_text('timeout = 3\n[groups.a]\nrequirements = "a.txt"\n', encoding="utf-8")
    (tmp_path / "a.txt").touch()
    config = load_config(tmp_path)
    assert (config.timeout, config.source) == (3.0, "envsolver.toml")
    assert config.groups["a"].requirements == "a.txt"


def test_two_configurations_are_a_fault(tmp_path: Path) -> None:
    project(tmp_path, "[tool.envsolver]\n")
    (tmp_path / "envsolver.toml").touch()
    assert "pyproject.toml has a [tool.envsolver] table too" in faults(tmp_path)[0]


def test_an_own_file_beside_another_tools_pyproject_is_fine(tmp_path: Path) -> None:
    project(tmp_path, "[tool.ruff]\nline-length = 100\n")
    (tmp_path / "envsolver.toml").write_text("timeout = 3\n", encoding="utf-8")
    assert load_config(tmp_path).timeout == 3.0


def test_requirements_files_are_groups(tmp_path: Path) -> None:
    project(
        tmp_path, "", core="-c constraints.in\nnumpy\n", ml="-r base.in\ntorch\n", base="numpy\n", constraints="x<3\n"
    )
    (tmp_path / "requirements" / "_private.in").touch()
    config = load_config(tmp_path)
    assert {name: group.requirements for name, group in config.groups.items()} == {
        "core": "requirements/core.in",
        "ml": "requirements/ml.in",
    }


def test_a_named_file_stays_a_group_even_when_another_includes_it(tmp_path: Path) -> None:
    text = "[tool.envsolver.groups.base]\ncores = 2\n"
    config = load_config(project(tmp_path, text, base="numpy\n", ml="--requirement=base.in\n"))
    assert config.groups["base"] == GroupSettings(requirements="requirements/base.in", cores=2)
    assert set(config.groups) == {"base", "ml"}


def test_a_file_that_a_group_names_is_not_a_second_group(tmp_path: Path) -> None:
    text = '[tool.envsolver.groups.learning]\nrequirements = "requirements/ml.in"\n'
    assert set(load_config(project(tmp_path, text, ml="torch\n")).groups) == {"learning"}


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


@pytest.mark.parametrize("text", ["2025-06-30", "2025-06-30T12:00:00Z", "2025-06-30T12:00:00+02:00"])
def test_rfc_3339_dates_are_taken_as_text_and_as_toml_dates(tmp_path: Path, text: str) -> None:
    for value in (f'"{text}"', text):
        config = load_config(project(tmp_path, f"[tool.envsolver]\nexclude-newer = {value}\n"))
        assert config.exclude_newer is not None
        assert config.exclude_newer.startswith("2025-06-30")


def test_settings_merge_in_the_order_written_and_the_exact_path_wins(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.ipynb").touch()
    text = """
[tool.envsolver.notebook."a/b.ipynb"]
timeout = 1
env = { X = "exact" }
[tool.envsolver.notebook."**"]
timeout = 2
cell-timeout = 2
cores = 2
env = { X = "all", Y = "all", Z = "all" }
[tool.envsolver.notebook."a/*"]
cores = 3
env = { Y = "folder" }
[tool.envsolver.notebook."other/*"]
cores = 4
"""
    config = load_config(project(tmp_path, text))
    settings = settings_for(config, "a/b.ipynb")
    assert (settings.timeout, settings.cell_timeout, settings.cores) == (1.0, 2.0, 3)
    assert settings.env == {"X": "exact", "Y": "folder", "Z": "all"}
    assert settings_for(config, "c.ipynb").cores == 2


def test_a_notebook_that_is_not_mentioned_has_empty_settings() -> None:
    settings = settings_for(Config(), "a.ipynb")
    assert settings.group is None
    assert settings.env == {}
    assert given(settings) == {}


def test_an_empty_list_of_a_later_entry_counts() -> None:
    entries = [NotebookSettings(skip_cells=("plot(",), timeout=1.0), NotebookSettings(skip_cells=())]
    assert merged(entries) == NotebookSettings(skip_cells=(), timeout=1.0)


def test_the_root_is_the_nearest_directory_that_mentions_us(tmp_path: Path) -> None:
    inner = tmp_path / "docs" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.envsolver]\n", encoding="utf-8")
    (tmp_path / "docs" / "pyproject.toml").write_text("[project]\nname = 'docs'\n", encoding="utf-8")
    assert find_root(inner) == tmp_path.resolve()
    (tmp_path / "docs" / "envsolver.toml").touch()
    assert find_root(inner) == (tmp_path / "docs").resolve()


@pytest.mark.parametrize("mark", ["pyproject.toml", ".git"])
def test_without_configuration_the_root_is_the_nearest_project_or_repository(tmp_path: Path, mark: str) -> None:
    inner = tmp_path / "docs" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "docs" / mark).touch()
    assert find_root(inner) == (tmp_path / "docs").resolve()
    (inner / "a.ipynb").touch()
    assert find_root(inner / "a.ipynb") == (tmp_path / "docs").resolve()


def test_a_broken_pyproject_with_our_table_is_still_the_root(tmp_path: Path) -> None:
    inner = tmp_path / "docs"
    inner.mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.envsolver]\nx = = 1\n", encoding="utf-8")
    (inner / "pyproject.toml").write_text("x = = 1\n", encoding="utf-8")
    assert find_root(inner) == tmp_path.resolve()


def test_the_schema_describes_every_key_and_nothing_internal() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert "cell-timeout" in schema["properties"]
    assert not {"root", "source"} & set(schema["properties"])
    assert all(field.get("description") for field in schema["properties"].values())
    assert "root" not in json.dumps(schema["properties"]["groups"])


def test_the_reference_names_every_key_with_type_and_description() -> None:
    rows = {row.key: row for row in reference_rows()}
    assert rows["timeout"].default == "600"
    assert rows["notebooks"].type == "list of texts"
    assert rows["groups.<name>.cores"] == ("groups.<name>.cores", "whole number", "1", rows["groups.<name>.cores"][3])
    assert rows["services.<name>.command"].default == "required"
    assert 'notebook."<path or glob>".skip-cells' in rows
    assert all(row.description for row in rows.values())


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


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({}, RUNNING),
        ({"pyproject.toml": "[project]\nname = 'a'\nrequires-python = '>=3.8'\n"}, RUNNING),
        ({"pyproject.toml": "[project]\nname = 'a'\nrequires-python = '>=3.99'\n"}, ">=3.99"),
        ({"pyproject.toml": "[project]\nname = 'a'\nrequires-python = '>=3.5, <3.6'\n"}, "<3.6,>=3.5"),
        ({"setup.cfg": "[options]\npython_requires = >=3.99\n"}, ">=3.99"),
        ({"pyproject.toml": "[build-system]\n", "setup.cfg": "[options]\npython_requires = >=3.99\n"}, ">=3.99"),
        ({"pyproject.toml": "[project]\nrequires-python = 'new'\n"}, RUNNING),
        ({"pyproject.toml": "[project]\nrequires-python = '>=3.99'\n[tool.envsolver]\npython = ['3.9']\n"}, "3.9"),
    ],
)
def test_the_default_python_is_one_that_the_project_supports(
    tmp_path: Path, files: dict[str, str], python: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert load_config(tmp_path).python == (python,)


@pytest.mark.parametrize("line", ['dependency-groups = ["docs"]', 'extras = ["ml"]', 'lock = "uv.lock"'])
def test_a_group_that_says_what_it_holds_has_no_file(tmp_path: Path, line: str) -> None:
    (tmp_path / "envsolver.toml").write_text(f"[groups.a]\n{line}\n", encoding="utf-8")
    assert load_config(tmp_path).groups["a"].requirements == ""


def test_a_group_is_either_a_file_or_sets_of_the_project(tmp_path: Path) -> None:
    text = '[groups.a]\nrequirements = "a.in"\nextras = ["ml"]\nlock = "uv.lock"\n'
    (tmp_path / "envsolver.toml").write_text(text, encoding="utf-8")
    (tmp_path / "a.in").touch()
    with pytest.raises(ConfigurationError) as told:
        load_config(tmp_path)
    assert [fault.partition(":")[2].partition(": cannot")[0] for fault in told.value.faults] == [
        "3: groups.a.extras",
        "4: groups.a.lock",
    ]


STRATEGIES = """
[tool.envsolver]
strategy = "smoke"
[tool.envsolver.groups.a]
cores = 4
env = { A = "1", B = "1" }
[tool.envsolver.notebook."a.ipynb"]
timeout = 900
stop-at = "the end"
[tool.envsolver.strategies.full]
[tool.envsolver.strategies.smoke]
before = "before.py"
timeout = 60
[tool.envsolver.strategies.smoke.notebook."a.ipynb"]
parameters = { n = 10 }
[tool.envsolver.strategies.smoke.groups.a]
env = { B = "2" }
timeout = 30
"""


@pytest.fixture
def with_strategies(tmp_path: Path) -> Path:
    for name in ("a.ipynb", "b.ipynb", "before.py"):
        (tmp_path / name).touch()
    return project(tmp_path, STRATEGIES, a="")


def test_a_strategy_stands_over_the_tables_of_notebooks_and_groups(with_strategies: Path) -> None:
    config = load_config(with_strategies)
    assert config.strategy == "smoke"
    expected = NotebookSettings(timeout=60, stop_at="the end", before="before.py", parameters={"n": 10})
    assert settings_for(config, "a.ipynb") == expected
    assert settings_for(config, "b.ipynb") == NotebookSettings(timeout=60, before="before.py")
    group = config.groups["a"]
    assert (group.cores, dict(group.env), group.timeout) == (4, {"A": "1", "B": "2"}, 30)


def test_an_empty_strategy_leaves_all_as_it_is(with_strategies: Path) -> None:
    config = load_config(with_strategies, "full")
    assert config.strategy == "full"
    assert settings_for(config, "a.ipynb") == NotebookSettings(timeout=900, stop_at="the end")
    assert dict(config.groups["a"].env) == {"A": "1", "B": "1"}


def test_a_strategy_that_there_is_not_is_told_with_those_that_there_are(with_strategies: Path) -> None:
    with pytest.raises(ConfigurationError, match='no strategy is called "smok"') as caught:
        load_config(with_strategies, "smok")
    assert caught.value.tip == "Strategies: full, smoke."


def test_all_faults_of_strategies_are_told_with_their_places(tmp_path: Path) -> None:
    text = """
[tool.envsolver]
strategy = "smok"
[tool.envsolver.strategies.smoke]
before = "gone.py"
cels = 1
env = { "A B" = "1" }
[tool.envsolver.strategies.smoke.notebook."gone.ipynb"]
group = "b"
[tool.envsolver.strategies.smoke.groups.c]
timeout = 0
"""
    assert [fault.replace("tool.envsolver.", "", 1) for fault in faults(project(tmp_path, text, a=""))] == [
        'pyproject.toml:3: strategy: no strategy is called "smok"; did you mean smoke?',
        "pyproject.toml:5: strategies.smoke.before: the file gone.py does not exist",
        "pyproject.toml:6: strategies.smoke.cels: is not a known key; did you mean cores?",
        'pyproject.toml:7: strategies.smoke.env."A B": is not a name that an environment variable can have',
        'pyproject.toml:8: strategies.smoke.notebook."gone.ipynb": no such notebook',
        'pyproject.toml:9: strategies.smoke.notebook."gone.ipynb".group: no group is called "b"',
        'pyproject.toml:10: strategies.smoke.groups.c: no group is called "c"',
        "pyproject.toml:11: strategies.smoke.groups.c.timeout: must be greater than 0, not the number 0",
    ]
