"""The commands about test files: `generate`, `check`; and the configuration's `schema`."""

from __future__ import annotations

from pathlib import Path

import click

from envsolver.cli import completion
from envsolver.report.formatting import json_text


@click.command("generate")
@click.option(
    "--notebook",
    "notebooks",
    multiple=True,
    shell_complete=completion.notebooks,
    metavar="NOTEBOOK",
    help="Only this notebook; repeatable.",
)
@click.pass_obj
def generate_command(directory: Path, /, *, notebooks: tuple[str, ...]) -> int:
    """Write a test file for each notebook that has none.

    A test file runs one notebook with pytest or unittest. What is there already is never overwritten.
    """
    from envsolver.notebooks.select import select_notebooks
    from envsolver.run.project import open_project
    from envsolver.testing.generate import generate

    config = open_project(directory).config
    made = generate(config, select_notebooks(config, notebooks, directory.absolute()), directory=config.booktests)
    for path in made.written:
        click.echo(f"wrote {path}")
    for notebook, path in made.kept if notebooks else ():
        click.echo(f"kept {path}, which tests {notebook}")
    for notebook, reason in made.excluded:
        click.echo(f"none for {notebook}: {reason}")
    if not made.written:
        click.echo("nothing to write")
    return 0


@click.command("check")
@click.pass_obj
def check_command(directory: Path, /) -> int:
    """Check that every notebook has a test file that runs it, or a reason why not."""
    from envsolver.run.project import open_project
    from envsolver.testing.generate import check, coverage_lines

    config = open_project(directory).config
    coverage = check(config, directory=config.booktests)
    click.echo("\n".join(coverage_lines(coverage)))
    return 0 if coverage.good else 1


@click.command("schema")
@click.option("--results", is_flag=True, help="That of results.json, for programs that read it.")
def schema_command(*, results: bool) -> int:
    """Write the JSON schema of the configuration, for editors."""
    from envsolver.config.schema import json_schema
    from envsolver.report.results_json import results_schema

    click.echo(json_text(results_schema() if results else json_schema()))
    return 0
