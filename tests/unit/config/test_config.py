"""Promise: what the configuration says arrives, from either file, and each notebook has what is meant for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from config_files import RUNNING, faults, project

from envsolver.config.load import find_root, load_config, settings_for
from envsolver.config.schema import json_schema, reference_rows
from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import Config, GroupSettings, NotebookSettings, given, merged


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
