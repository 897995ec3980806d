"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from envsolver.cli import completion

Command = TypeVar("Command", bound=Callable[..., Any])

build = click.option(
    "--build", is_flag=True, help="Build packages where only that shows what they depend on; this runs their code."
)
"""The option of commands that otherwise run nothing of a project."""


strategy = click.option(
    "--strategy",
    metavar="NAME",
    envvar="ENVSOLVER_STRATEGY",
    help="The configuration's settings for an occasion; default: its key `strategy`.",
)
"""The option of commands for which a strategy makes a difference."""


def selection(command: Command) -> Command:
    """Add the arguments that choose notebooks, and their settings."""
    command = strategy(command)
    command = click.option(
        "--python",
        "pythons",
        multiple=True,
        shell_complete=completion.pythons,
        metavar="VERSION",
        help="Python version, or `all`; repeatable.",
    )(command)
    command = click.option(
        "-g",
        "--group",
        "groups",
        multiple=True,
        shell_complete=completion.groups,
        metavar="GROUP",
        help="Only this group; repeatable.",
    )(command)
    return click.argument("notebooks", nargs=-1, shell_complete=completion.notebooks, metavar="[NOTEBOOK]...")(command)


def output(command: Command) -> Command:
    """Add the options that say how much is shown."""
    command = click.option("-q", "--quiet", is_flag=True, help="Show failures and the last line only.")(command)
    command = click.option("-v", "--verbose", is_flag=True, help="Show each job's start as well.")(command)
    return click.option(
        "--color/--no-color", default=None, help="Colours; default: on a terminal, unless NO_COLOR is set."
    )(command)
