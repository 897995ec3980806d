"""What every pytest loads: the options, and with `--notebooks` the plugin itself.

Until that is asked for, nothing but the standard library is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("envsolver", "notebooks as tests")
    group.addoption(
        "--notebooks",
        action="store_true",
        help="Run the project's notebooks too: all, or those that the arguments lead to. They are one envsolver run.",
    )
    group.addoption("--notebooks-workers", type=int, metavar="N", help="Notebooks at once; default: the cores.")
    group.addoption(
        "--notebooks-timeout", type=float, metavar="SECONDS", help="Limit for a whole notebook, over every setting."
    )
    group.addoption(
        "--notebooks-cell-timeout", type=float, metavar="SECONDS", help="Limit for a cell whose notebook sets none."
    )
    group.addoption("--notebooks-strategy", metavar="NAME", help="The configuration's settings for an occasion.")
    group.addoption(
        "--notebooks-rerun", action="store_true", help="Run also those of which nothing changed since they passed."
    )
    group.addoption(
        "--notebooks-overwrite", action="store_true", help="Write the outputs of those that ran and passed into them."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the rest where it is asked for."""
    if config.getoption("notebooks"):
        _leave_as_compiled(config)
        from envsolver.testing.notebook_items import register

        register(config)


def _leave_as_compiled(config: pytest.Config) -> None:
    """Have pytest import our modules as any other library's.

    It marks all modules of a distribution that has a plugin, so as to rewrite their asserts. Of ours that are 180, and
    it takes a second where their bytecode cannot be kept. pytest offers no way to take a mark away; where what is
    looked for here is missing, that second is all that is lost.
    """
    marked = getattr(getattr(config.pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard(__name__.partition(".")[0])
