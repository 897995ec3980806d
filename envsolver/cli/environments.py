"""The commands about environments: `sync`, `clean`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envsolver.cli import options
from envsolver.cli.tables import print_table
from envsolver.core.errors import ConfigurationError
from envsolver.core.quantities import size

if TYPE_CHECKING:
    from envsolver.environments.store import Entry
    from envsolver.run.project import Project


@click.command("sync")
@options.pythons
@options.groups
@click.option("--upgrade", is_flag=True, help="Solve anew, to the newest versions that fit.")
@click.pass_obj
def sync_command(directory: Path, /, *, groups: tuple[str, ...], pythons: tuple[str, ...], upgrade: bool) -> int:
    """Solve the groups and build their environments, without running anything."""
    from envsolver.run.project import open_project
    from envsolver.run.sync import sync

    project = open_project(directory, upgrade=upgrade, build=True)
    rows = [
        (
            e.group,
            e.python,
            str(len(e.packages)),
            f"{'built' if e.built else 'cached'} in {e.seconds:.2f} s",
            str(e.prefix),
        )
        for e in sync(project, groups=groups, pythons=pythons)
    ]
    print_table(("group", "python", "packages", "", "environment"), rows)
    return 0


@click.command("clean")
@click.option("--all", "everything", is_flag=True, help="Evict every environment that no live run uses.")
@click.option(
    "--unused-days", type=click.IntRange(min=0), metavar="DAYS", help="Evict what was not used for so many days."
)
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="Evict the environment with this key, or its beginning."
)
@click.pass_obj
def clean_command(directory: Path, /, *, everything: bool, unused_days: int | None, keys: tuple[str, ...]) -> int:
    """Show what the environment cache holds; with an option, evict from it.

    Only directories that carry envsolver's tag are ever removed.
    """
    from envsolver.run.project import open_project

    project = open_project(directory)
    entries = project.store.entries()
    _print_cache(project, entries)
    chosen = _evictable(entries, everything=everything, unused_days=unused_days, keys=keys)
    if chosen:
        removed = project.store.evict(chosen)
        freed = sum(entry.size for entry in removed)
        click.echo(f"evicted {len(removed)} of {len(chosen)}, {size(freed)}")
        for entry in chosen:
            if entry not in removed:
                click.echo(f"kept {entry.directory.name}: a live run uses it", err=True)
    return 0


def _evictable(
    entries: Sequence[Entry], *, everything: bool, unused_days: int | None, keys: Sequence[str]
) -> list[Entry]:
    for key in keys:
        if not any(entry.directory.name.startswith(key) for entry in entries):
            raise ConfigurationError([f"--key {key}: the cache holds no such environment"])
    oldest = None if unused_days is None else time.time() - unused_days * 86400
    return [
        entry
        for entry in entries
        if everything
        or (oldest is not None and entry.used < oldest)
        or any(entry.directory.name.startswith(key) for key in keys)
    ]


def _print_cache(project: Project, entries: Sequence[Entry]) -> None:
    from datetime import datetime, timezone

    def day(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M")

    rows = [
        (
            entry.directory.name,
            entry.group,
            entry.python,
            str(entry.packages),
            size(entry.size),
            day(entry.used),
            "in use" if entry.in_use else "" if entry.complete else "incomplete",
        )
        for entry in entries
    ]
    print_table(("key", "group", "python", "packages", "size", "last used", ""), rows)
    total = sum(entry.size for entry in entries)
    click.echo(f"{len(entries)} environments, {size(total)}, in {project.store.directory}")
