"""The options of `envsolver run` that say what coverage measures; they are called as pytest-cov's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envsolver.cli.options import Command

if TYPE_CHECKING:
    from envsolver.run.coverage_options import CoverageOptions


def covering(command: Command) -> Command:
    """Add the options."""
    for option in (
        click.option("--cov-append", is_flag=True, help="With --cov: keep what was measured before."),
        click.option(
            "--cov-config",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="FILE",
            help="With --cov: coverage's configuration; default: what it finds in the project.",
        ),
        click.option("--cov-branch", is_flag=True, help="With --cov: measure branches too."),
        click.option(
            "--cov",
            is_flag=False,
            flag_value="",
            multiple=True,
            metavar="[SOURCE]",
            help="Measure which lines of a package or directory the notebooks run, into coverage's data file; without "
            "SOURCE what coverage's configuration says, else the project. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def coverage_options(
    cov: Sequence[str], *, branch: bool, config: Path | None, append: bool, root: Path, cwd: Path
) -> CoverageOptions | None:
    """Return what the options ask for; None where that is nothing.

    Raises
    ------
    UsageError
        One of them stands without `--cov`, or a notebook stands where a source does.
    """
    from envsolver.run.coverage_options import CoverageOptions, from_root

    if not cov:
        named = {"--cov-branch": branch, "--cov-config": config, "--cov-append": append}
        for name in (name for name, value in named.items() if value):
            message = f"{name} needs --cov"
            raise click.UsageError(message)
        return None
    if taken := next((name for name in cov if name.endswith(".ipynb")), ""):
        message = f"--cov takes {taken} for what is to be measured; let it stand after the notebooks"
        raise click.UsageError(message)
    return CoverageOptions(
        source=tuple(from_root(name, root, cwd) for name in cov if name),
        branch=branch or None,
        config="" if config is None else str((cwd / config).resolve()),
        append=append,
    )
