"""Programs that an environment's own interpreter runs: the standard library and ipykernel, nothing of ours.

They are started by their path and never imported, so their paths stand here, and nothing else does.
"""

from pathlib import Path

_HERE = Path(__file__).parent

TEMPLATE_SERVER = _HERE / "template_server.py"
"""Forks warm kernels."""

COMPILE_BYTECODE = _HERE / "compile_bytecode.py"
"""Compiles what an environment can import."""

PYTHONPATH = _HERE / "pythonpath"
"""What stands on the notebooks' import path: `pip` and `uv` that leave the environment as it is."""

COVERING = _HERE / "covering"
"""What stands on the import path ahead of the rest while coverage is measured."""

COMBINE_COVERAGE = _HERE / "combine_coverage.py"
"""Combines what was measured; runs where coverage is installed."""

PIP_GUARD = PYTHONPATH / "_envsolver_guard.py"
"""What `pip`, `uv` and `conda` are while a notebook runs."""

READING = _HERE / "reading.py"
"""Tells what a kernel reads."""

OWN_MODULES = _HERE / "own_modules.py"
"""Gives the programs that watch a kernel what a notebook cannot replace."""

WARNED = _HERE / "warned.py"
"""Counts the warnings of a kernel."""

OPENED_FILES = _HERE / "opened.py"
"""Sees which files of the project are opened below a kernel in namespaces."""

FOLLOWED = _HERE / "followed.py"
"""Has the programs followed that a kernel in namespaces starts."""

PROGRAM_KEEPER = _HERE / "program_keeper.py"
"""Sees what the programs read that are followed."""

NAMESPACES = _HERE / "namespaces.py"
"""Starts a cold kernel with its own view of the project and of the processes."""
