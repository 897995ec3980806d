"""The commands, the one place that catches errors, and the exit code."""

from envsolver.cli.main import main

__all__ = ["main"]
