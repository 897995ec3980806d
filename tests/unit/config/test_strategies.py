"""Promise: a strategy stands over what the tables of notebooks and groups say."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import faults, project

from envsolver.config.load import load_config, settings_for
from envsolver.core.errors import ConfigurationError
from envsolver.core.settings import NotebookSettings

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
