"""The command `list`."""

from __future__ import annotations

from pathlib import Path

import click

from envsolver.cli.options import build, selection
from envsolver.cli.tables import print_table
from envsolver.report.formatting import json_text


@click.command("list")
@selection
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@build
@click.pass_obj
def list_command(
    directory: Path,
    /,
    *,
    notebooks: tuple[str, ...],
    groups: tuple[str, ...],
    pythons: tuple[str, ...],
    strategy: str | None,
    as_json: bool,
    build: bool,
) -> int:
    """Show each notebook's group, and why it belongs there; nothing of the project is run."""
    from envsolver.resolver.groups import check_group_names
    from envsolver.resolver.locks import NOT_BUILT
    from envsolver.run.project import open_project
    from envsolver.run.resolution import resolve

    project = open_project(directory, strategy=strategy, build=build)
    resolution = resolve(project, patterns=notebooks, cwd=directory.absolute(), pythons=pythons)
    check_group_names(groups, resolution.groups)
    rows = [a for a in resolution.assignments if not groups or a.group in groups]
    if as_json:
        from dataclasses import asdict

        click.echo(json_text([asdict(row) for row in rows]))
        return 0
    shown = [
        (
            row.notebook,
            row.group or ("(unknown)" if row.reason.startswith(NOT_BUILT) else f"({row.verdict})"),
            row.reason or row.why,
        )
        for row in rows
    ]
    print_table(("notebook", "group", "why"), shown)
    for remark in resolution.remarks:
        click.echo(f"\n{remark}")
    for (group, version), fault in resolution.faults.items():
        click.echo(f"\n{group}, Python {version}: {fault.message}", err=True)
    return 0
