"""The command line: it reads what is asked, calls the stages, prints, and turns errors into exit codes.

Imports stand inside the commands, so that `envsolver --help` costs next to nothing.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from envsolver import __version__
from envsolver.cli.booktests import check_command, generate_command, schema_command
from envsolver.cli.environments import clean_command, sync_command
from envsolver.cli.list import list_command
from envsolver.cli.report import history_command, merge_command, report_command
from envsolver.cli.run import run_command
from envsolver.cli.solve import init_command, lock_command, solve_command
from envsolver.core.errors import EnvsolverError

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Parameters
    ----------
    arguments
        Without the program's name; None for those of the process.
    """
    _write_any_text()
    try:
        code = cli.main(args=arguments, prog_name="envsolver", standalone_mode=False)
        status = code if isinstance(code, int) else 0
    except EnvsolverError as error:
        _say_error(error)
        status = error.exit_code
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("envsolver: interrupted", err=True)
        status = EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  lasts to the end
        status = 1
    _leave(status)


def _write_any_text() -> None:
    """Have what the output's encoding cannot hold, such as a file's name that is no text, written escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave(status: int) -> NoReturn:
    if status == EXIT_INTERRUPTED:
        # What was worth keeping is written. Threads that wait for dead processes must not hold the exit up.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _say_error(error: EnvsolverError) -> None:
    red = "red" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else None
    click.secho("envsolver: error: ", fg=red, bold=red is not None, err=True, nl="\n" in error.message)
    click.echo(error.message, err=True)
    if error.tip:
        click.echo(error.tip, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="envsolver")
@click.option(
    "-C",
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Work on the project of this directory.",
)
@click.pass_context
def cli(context: click.Context, directory: Path) -> None:
    """Run a repository's Jupyter notebooks as tests, each in the environment that it needs."""
    context.obj = directory


for _command in (
    *(run_command, list_command, sync_command, clean_command),
    *(solve_command, lock_command, init_command),
    *(report_command, history_command, merge_command),
    *(generate_command, check_command, schema_command),
):
    cli.add_command(_command)
