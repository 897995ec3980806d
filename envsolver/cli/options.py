"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from envsolver.cli import completion
from envsolver.core.parsing import MalformedError, parse_requirement

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


pythons = click.option(
    "--python",
    "pythons",
    multiple=True,
    shell_complete=completion.pythons,
    metavar="VERSION",
    help="Python version, or `all`; repeatable.",
)
"""The option of commands that concern one Python version or several."""

groups = click.option(
    "-g",
    "--group",
    "groups",
    multiple=True,
    shell_complete=completion.groups,
    metavar="GROUP",
    help="Only this group; repeatable.",
)
"""The option of commands that concern one group or several."""


def selection(command: Command) -> Command:
    """Add the arguments that choose notebooks, and their settings."""
    command = groups(pythons(strategy(command)))
    return click.argument("notebooks", nargs=-1, shell_complete=completion.notebooks, metavar="[NOTEBOOK]...")(command)


def output(command: Command) -> Command:
    """Add the options that say how much is shown."""
    command = click.option("-q", "--quiet", is_flag=True, help="Show failures and the last line only.")(command)
    command = click.option("-v", "--verbose", is_flag=True, help="Show each job's start as well.")(command)
    return click.option(
        "--color/--no-color", default=None, help="Colours; default: on a terminal, unless NO_COLOR is set."
    )(command)


def requirements(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts that `--with` gave, each of which is a requirement."""
    for value in values:
        try:
            parse_requirement(value)
        except MalformedError as error:
            message = f"{value!r} is not a requirement such as 'numpy==2.5rc1': {error}"
            raise click.BadParameter(message) from error
    return values


def addresses(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses of indexes, without the names that they may be given for people."""
    found = [re.fullmatch(r"(?:[\w.-]+=)?((?:https?|file)://\S+)", value) for value in values]
    for value, match in zip(values, found, strict=True):
        if match is None:
            message = f"{value!r} is not the address of an index, such as nightly=https://host/simple."
            raise click.BadParameter(message)
    return tuple(match[1] for match in found if match)


def versions(command: Command) -> Command:
    """Add the options that choose other versions than the project has."""
    for option in (
        click.option("--upgrade", is_flag=True, help="Newest versions that fit, whatever locks and memory say."),
        click.option(
            "--index",
            "indexes",
            multiple=True,
            metavar="[NAME=]URL",
            callback=addresses,
            help="Look in this index first, such as one of nightly builds, whatever locks say. Repeatable.",
        ),
        click.option("--prerelease", is_flag=True, help="Let in releases before the final ones, whatever locks say."),
        click.option(
            "--with",
            "more",
            multiple=True,
            metavar="REQUIREMENT",
            callback=requirements,
            help="Have every group ask for this too, such as 'numpy==2.5rc1'; other versions stay. Repeatable.",
        ),
        click.option(
            "--resolution",
            type=click.Choice(["highest", "lowest", "lowest-direct"]),
            help="Which versions the solver prefers; default: highest.",
        ),
    ):
        command = option(command)
    return command
