"""Parsl's providers by name: what each may be given, and how one is made. What is given is checked by its signature."""

from __future__ import annotations

import importlib
import inspect
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_type_hints

from envsolver.core.profiles import Profile

if TYPE_CHECKING:
    from parsl.providers.base import ExecutionProvider

    Maker = Callable[..., ExecutionProvider]

PROVIDERS = {
    "slurm": "SlurmProvider",
    "pbspro": "PBSProProvider",
    "lsf": "LSFProvider",
    "gridengine": "GridEngineProvider",
    "condor": "CondorProvider",
    "local": "LocalProvider",
}
"""Names of providers, and their classes in `parsl.providers`."""

COMMANDS = {
    "slurm": ("sbatch", "squeue", "scancel"),
    "pbspro": ("qsub", "qstat", "qdel"),
    "lsf": ("bsub", "bjobs", "bkill"),
    "gridengine": ("qsub", "qstat", "qdel"),
    "condor": ("condor_submit", "condor_q", "condor_rm"),
}
"""The scheduler's commands that each calls."""

LAUNCHERS = {
    "simple": "SimpleLauncher",
    "single-node": "SingleNodeLauncher",
    "srun": "SrunLauncher",
    "mpiexec": "MpiExecLauncher",
    "aprun": "AprunLauncher",
    "jsrun": "JsrunLauncher",
}
"""Names of launchers, and their classes in `parsl.launchers`."""

OURS = frozenset({"self", "init_blocks", "min_blocks", "max_blocks"})
"""Parameters that envsolver sets, or has under a key of its own."""


def parameters(provider: str, folder: Path) -> Mapping[str, object]:
    """Return the settings of a provider: its parameters and their types.

    Parameters
    ----------
    provider
        One of `PROVIDERS`, or ``site.py:function``.
    folder
        What the path of a site's file is relative to.

    Raises
    ------
    ValueError
        There is no such provider; the message continues the provider's name.
    """
    maker = find_maker(provider, folder)
    called = maker.__init__ if inspect.isclass(maker) else maker
    hints = get_type_hints(called)
    return {
        name: _kind(hints.get(name), parameter.default)
        for name, parameter in inspect.signature(called).parameters.items()
        if name not in OURS and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _kind(hint: object, default: object) -> object:
    """Return a parameter's type: what it is said to be, or what its default is."""
    from parsl.launchers.base import Launcher

    if hint is Launcher or isinstance(default, Launcher):
        return Literal[tuple(LAUNCHERS)]
    if hint is not None:
        return hint
    return object if default in {None, inspect.Parameter.empty} else type(default)


def find_maker(provider: str, folder: Path) -> Maker:
    """Return what makes a provider: its class, or the site's function.

    Raises
    ------
    ValueError
        There is none; the message continues the provider's name.
    """
    if provider in PROVIDERS:
        return cast("Maker", getattr(importlib.import_module("parsl.providers"), PROVIDERS[provider]))
    file, colon, function = provider.rpartition(":")
    if not colon:
        raise ValueError(f"is no provider; there are {', '.join(PROVIDERS)}, or site.py:function")
    path = folder / file
    if not path.is_file():
        raise ValueError(f"the file {path} does not exist")
    try:
        maker = runpy.run_path(str(path)).get(function)
    except Exception as error:
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(maker):
        raise ValueError(f"{path} has no function {function}")  # noqa: TRY004  the name is wrong, not a type
    return cast("Maker", maker)


def make_provider(profile: Profile, worker_init: str) -> ExecutionProvider:
    """Make a profile's provider.

    Parameters
    ----------
    worker_init
        Shell text that a block runs before its pool, after the profile's own.

    Raises
    ------
    TypeError
        The site's function returns none.
    """
    from parsl import launchers
    from parsl.providers.base import ExecutionProvider

    arguments = {
        name: getattr(launchers, LAUNCHERS[str(value)])()
        if name == "launcher"
        else list(value)
        if isinstance(value, tuple)
        else value
        for name, value in profile.options.items()
    }
    maker = find_maker(profile.settings.provider, profile.folder)
    if profile.settings.provider == "slurm":
        from envsolver.run.parsl.slurm import SlurmBlocks as maker  # noqa: N813  one of the makers
    provider: Any = maker(**arguments)
    if not isinstance(provider, ExecutionProvider):
        raise TypeError(f"{profile.settings.provider} returned {type(provider).__name__}, which is no Parsl provider")
    own = getattr(provider, "worker_init", "")
    setattr(provider, "worker_init", f"{own}\n{worker_init}\n")  # noqa: B010  each kind of provider has it, their base has not
    return provider
