"""The command `profiles`."""

from __future__ import annotations

from pathlib import Path

import click

from envsolver.cli.tables import print_table
from envsolver.core.errors import ConfigurationError


@click.command("profiles")
@click.option("--check", is_flag=True, help="Try each on this machine: commands, address, shared folder.")
@click.pass_obj
def profiles_command(directory: Path, /, *, check: bool) -> int:
    """List where notebooks can run, and the file that says so; what is wrong with a profile is said.

    Nothing is queued. The exit code is 2 when a profile is wrong or, with --check, lacks something here.
    """
    from envsolver.config.load import find_root
    from envsolver.config.profiles import read_profiles
    from envsolver.core.profiles import LOCAL
    from envsolver.environments.store import cache_directory
    from envsolver.run.profiles import check_profile, make_profile

    tables = read_profiles(find_root(directory.absolute()))
    rows = [] if LOCAL in tables else [(LOCAL, "this machine", "", "")]
    faults: list[str] = []
    for name, table in tables.items():
        provider = str(table.values.get("provider", ""))
        if ":" in provider and not check:
            rows.append((name, provider, "--check runs its file", table.file))
            continue
        try:
            profile = make_profile(table)
        except ConfigurationError as error:
            rows.append((name, provider, "wrong", table.file))
            faults += error.faults
            continue
        rows.append((name, provider, f"{profile.slots} at once", table.file))
        if check:
            faults += [
                table.fault(f"{what}: {fault}") for what, fault in check_profile(profile, cache_directory()) if fault
            ]
    print_table(("profile", "provider", "notebooks", "source"), rows)
    for fault in faults:
        click.echo(fault, err=True)
    if check and not faults:
        click.echo("all that could be tried here is in order")
    return ConfigurationError.exit_code if faults else 0
