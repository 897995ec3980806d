"""The command `why`."""

from __future__ import annotations

from pathlib import Path

import click

from envsolver.cli.options import selection
from envsolver.cli.tables import print_table


@click.command("why")
@selection
@click.pass_obj
def why_command(
    directory: Path,
    /,
    *,
    notebooks: tuple[str, ...],
    groups: tuple[str, ...],
    pythons: tuple[str, ...],
    strategy: str | None,
) -> int:
    """Show why each notebook would run, or that its last pass still holds; nothing is run."""
    from envsolver.run.options import Options
    from envsolver.run.project import open_project
    from envsolver.run.workflow import plan

    project = open_project(directory, strategy=strategy)
    options = Options(patterns=notebooks, groups=groups, pythons=pythons)
    made = plan(project, options, cwd=directory.absolute())
    rows = [(job.notebook, job.group, job.python, f"runs: {job.why}") for job in made.jobs]
    rows += [(each.notebook, each.group, each.python, f"{each.status}: {each.reason}") for each in made.settled]
    print_table(("notebook", "group", "python", "why"), sorted(rows))
    return 0
