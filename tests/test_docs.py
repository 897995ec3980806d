"""Promise: what the documentation says is what the program does; every example on every page is read by it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from fakes import write_notebook
from reference_pages import pages, table
from shown_pages import PAGES, ROOT, File, Step, blocks, name_of, parts
from validate_pyproject import api
from validate_pyproject.errors import ValidationError
from workflow_schemas import CIRCLE, GITLAB, HOOKS, KUBERNETES, WORKFLOW, examples, schema_of

from envsolver import __version__
from envsolver.cli.main import cli
from envsolver.config.load import load_config
from envsolver.config.profiles import read_profiles
from envsolver.config.schema import reference_rows
from envsolver.core.errors import ConfigurationError
from envsolver.core.parsing import parse_toml
from envsolver.core.verdicts import Verdict
from envsolver.report.results_json import results_schema
from envsolver.run.profiles import make_profile

OTHERS = ("yaml", "make", "ini", "groovy")
"""Languages of files that hold commands."""


def shown(language: str) -> list[tuple[str, str]]:
    """Return all pages' blocks of a language, with the page that shows them."""
    return [(name_of(page), block) for page in PAGES for block in blocks(page, language)]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the page and the arguments of each call of envsolver that a page shows, through nox as well."""
    for page in PAGES:
        typed = [part.command for part in parts(page) if isinstance(part, Step)]
        typed += [part.text for part in parts(page) if isinstance(part, File) and part.path.endswith((".sh", ".pbs"))]
        text = "\n".join((*typed, *(block for language in OTHERS for block in blocks(page, language))))
        for line in re.findall(r"(?<![\w./-])(?:\.envsolver/venv/bin/)?envsolver ([a-z-][^&|\n)\]]*)", text):
            yield name_of(page), split(line)
        for line in re.findall(r"nox -s \"?booktests\S* -- (.*)", text):
            yield name_of(page), ["run", *split(line)]


def split(line: str) -> list[str]:
    """Return a command's words; quotes that began before it, and what a shell fills in, are no part of it."""
    line = re.sub(r"\$\{\{.*?\}\}|\$\?", "1", line).strip()
    for quote in "'\"":
        if line.count(quote) % 2:
            line = line[: line.rindex(quote)]
    return shlex.split(line, comments=True)


@pytest.mark.parametrize(("page", "arguments"), list(commands()))
def test_every_command_shown_is_one_that_there_is(
    page: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "merge" in arguments:  # it wants the folders of runs that there are
        for word in arguments[1:]:
            Path(word).mkdir(exist_ok=True, parents=True)
    context = click.Context(cli)
    if arguments[:1] == ["-C"]:
        del arguments[:2]
    name, command, rest = cli.resolve_command(context, arguments)
    assert command is not None
    command.make_context(name, rest, parent=context)  # an option that there is not would raise


def test_sessions_that_pages_name_are_nox_sessions() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {name for words in re.findall(r"nox -s ((?:[a-z_]+ ?)+)", text) for name in words.split()}
    defined = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE))
    assert named - defined == set()


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_each_verdict_has_a_page_whose_example_comes_to_it(verdict: str) -> None:
    page = ROOT / f"docs/verdicts/{verdict}.md"
    assert any(f"] {verdict} " in line for part in parts(page) if isinstance(part, Step) for line in part.shown)
    assert f"verdicts/{verdict}.md" in (ROOT / "docs/reference/verdicts.md").read_text(encoding="utf-8")


def a_project(root: Path, text: str) -> Path:
    """Write a project with a configuration, and the files that this names."""
    data = parse_toml(text)
    own = data.get("tool", {}).get("envsolver", data)
    (root / "requirements").mkdir()
    for name, group in own.get("groups", {}).items():
        (root / "requirements" / f"{name}.in").touch()
        if sets := group.get("dependency-groups"):
            text += "[dependency-groups]\n" + "".join(f"{name} = []\n" for name in sets)
        if (extras := group.get("extras")) and "project" not in data:
            text += "[project]\nname = 'mine'\nversion = '1'\n[project.optional-dependencies]\n"
            text += "".join(f"{name} = []\n" for name in extras)
    (root / "uv.lock").touch()
    (root / ("pyproject.toml" if "tool" in data else "envsolver.toml")).write_text(text, encoding="utf-8")
    strategies = own.get("strategies", {}).values()
    for notebook in (name for each in (own, *strategies) for name in each.get("notebook", {})):
        write_notebook(root, notebook, "1")
    for file in [each["before"] for each in strategies if "before" in each]:
        (root / file).parent.mkdir(parents=True)
        (root / file).touch()
    for group in (name for each in strategies for name in each.get("groups", {})):
        (root / "requirements" / f"{group}.in").touch()
    return root


@pytest.mark.parametrize(("page", "text"), shown("toml"))
def test_every_configuration_shown_is_loaded_without_a_fault(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envsolver.config.profiles.user_config_dir", lambda _: str(tmp_path / "home"))
    root = a_project(tmp_path, text)
    assert load_config(root).source
    for profile in read_profiles(root).values():
        make_profile(profile)


def test_a_wrong_example_would_be_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="timeut"):
        load_config(a_project(tmp_path, "[tool.envsolver]\ntimeut = 3\n"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_key_says_what_it_is_for() -> None:
    assert [row.key for row in reference_rows() if not row.description] == []


def test_a_table_keeps_its_cells_apart() -> None:
    assert table(("key",), [("a|b",)]).splitlines()[-1] == "| a\\|b |"


def test_the_reference_has_every_key_and_every_exit_code() -> None:
    parts = dict(pages())
    assert [row.key for row in reference_rows() if f"| `{row.key}` |" not in parts["configuration"]] == []
    assert re.findall(r"^\| (\d+)", parts["exit-codes"], re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "130"]
    assert [key for key in results_schema()["properties"] if f"| `{key}` |" not in parts["results"]] == []


def test_the_page_on_variables_names_all_of_envsolvers_own() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "envsolver").glob("**/*.py")]
    names = {name for source in sources for name in re.findall(r"\bENVSOLVER_[A-Z_]*[A-Z]\b", source)}
    page = (ROOT / "docs/reference/variables.md").read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_a_workflow_for_each_system_is_shown() -> None:
    assert {schema_of(text) for text in examples()} == {WORKFLOW, GITLAB, CIRCLE, HOOKS, KUBERNETES}


OWN = r"\./\S+|OWNER/envsolver/\S+@main"
"""Actions of this repository; where that is, the reader knows."""


def test_actions_are_pinned_and_jobs_may_do_no_more_than_they_need() -> None:
    workflows = [path.read_text(encoding="utf-8") for path in sorted((ROOT / ".github/workflows").glob("*.yml"))]
    action = (ROOT / ".github/actions/notebooks/action.yml").read_text(encoding="utf-8")
    for text in [*workflows, *examples(), action]:
        for used in re.findall(r"uses: (\S+.*)", text):
            assert re.fullmatch(rf"{OWN}|[\w-]+/[\w/-]+@[0-9a-f]{{40}} # v[\d.]+", used)
    granted = set()
    for text in [*workflows, *(text for text in examples() if schema_of(text) == WORKFLOW)]:
        assert "\npermissions: {}\n" in text
        granted |= set(re.findall(r"^      ([\w-]+: (?:read|write)).*$", text, re.MULTILINE))
    assert granted == {"contents: read", "id-token: write"}


def test_a_token_for_publishing_is_had_by_the_last_job_of_a_release_alone() -> None:
    asking = [page.name for page in (ROOT / ".github/workflows").glob("*.yml") if "id-token" in page.read_text("utf-8")]
    assert asking == ["release.yml"]
    build, publish = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8").split("\n  publish:\n")
    assert "id-token" not in build
    assert "run:" not in publish


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [__version__]


def test_the_configurations_schema_serves_validate_pyproject() -> None:
    validate = api.Validator()
    data = parse_toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    validate(data)
    data["tool"]["envsolver"]["timeut"] = 3
    with pytest.raises(ValidationError, match="timeut"):
        validate(data)


def test_the_schema_of_results_is_what_a_run_is_written_by() -> None:
    schema = json.loads(json.dumps(results_schema()))
    assert set(schema["required"]) >= {"schema", "started", "wall_seconds", "workers", "results"}
    assert {"modules", "reading"}.isdisjoint(schema["$defs"]["Result"]["properties"])
