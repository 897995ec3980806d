"""The command line: it reads what is asked, calls the stages, prints, and turns errors into exit codes.

Imports stand inside the commands, so that `envsolver --help` costs next to nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from envsolver import __version__
from envsolver.cli.booktests import check_command, generate_command, schema_command
from envsolver.cli.diff import diff_command
from envsolver.cli.environments import clean_command, sync_command
from envsolver.cli.list import list_command
from envsolver.cli.profiles import profiles_command
from envsolver.cli.report import history_command, merge_command, report_command
from envsolver.cli.run import run_command
from envsolver.cli.solve import init_command, lock_command, solve_command
from envsolver.cli.streams import GuardedStream, guard_streams
from envsolver.cli.why import why_command
from envsolver.core.errors import EnvsolverError
from envsolver.run.parsl.pool_logs import explained

EXIT_INTERRUPTED = 130

COMPLETING = "_ENVSOLVER_COMPLETE"
"""The variable by which a shell asks click for completions."""

PRINTED = ("list", "solve", "history", "schema", "why", "profiles", "diff")
"""The commands that leave nothing but what they print."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Parameters
    ----------
    arguments
        Without the program's name; None for those of the process.
    """
    if COMPLETING not in os.environ:  # to a shell click writes bytes, and they are no text for people
        guard_streams()
    status = _run(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    if status == EXIT_INTERRUPTED:
        # What was worth keeping is written. Threads that wait for dead processes must not hold the exit up.
        os._exit(status)
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=arguments, prog_name="envsolver", standalone_mode=False)
    except EnvsolverError as error:
        _say_error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("envsolver: interrupted", err=True)
        return EXIT_INTERRUPTED
    except (OSError, RuntimeError) as error:
        _say_error(_system_error(error))
        return 1
    return code if isinstance(code, int) else 0


def _system_error(error: OSError | RuntimeError) -> EnvsolverError:
    """Return what the system refused as one clear error: what, and where; Python has its own for a thread too many."""
    said = getattr(error, "strerror", None) or str(error)
    cause = explained(said)
    if cause != said:
        return EnvsolverError(cause, tip="The system starts no more processes and threads for this user.")
    if not isinstance(error, OSError):
        raise error
    where = f"{error.filename}: " if error.filename else ""
    return EnvsolverError(f"{where}{said}", tip="The system refused this; see whether it can be used.")


def _say_error(error: EnvsolverError) -> None:
    red = "red" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else None
    click.secho("envsolver: error:", fg=red, bold=red is not None, err=True, nl=False)
    click.echo(("\n" if error.message.startswith("- ") else " ") + error.message, err=True)
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


@cli.result_callback()
@click.pass_context
def _answered(context: click.Context, /, status: int, **_: object) -> int:
    """Fail a command whose answer is what it prints when that did not arrive; a run's answer is its verdicts."""
    sys.stdout.flush()
    lost = isinstance(sys.stdout, GuardedStream) and sys.stdout.failed
    return 1 if lost and not status and context.invoked_subcommand in PRINTED else status


for _command in (
    *(run_command, why_command, list_command, sync_command, clean_command),
    *(solve_command, lock_command, init_command),
    *(report_command, history_command, merge_command, diff_command),
    *(generate_command, check_command, schema_command, profiles_command),
):
    cli.add_command(_command)
