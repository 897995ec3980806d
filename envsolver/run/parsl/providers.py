"""Parsl's providers by name: what each may be given, and how one is made. What is given is checked by its signature."""

from __future__ import annotations

import importlib
import inspect
import runpy
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_type_hints

from platformdirs import user_state_path

from envsolver.core.profiles import Profile
from envsolver.run.parsl.commands import ask
from envsolver.run.parsl.task import BLOCK_BEGAN
from envsolver.run.scheduler.protocols import PoolRequest

if TYPE_CHECKING:
    from parsl.providers.base import ExecutionProvider

    Maker = Callable[..., ExecutionProvider]

PROVIDERS = {
    "slurm": "SlurmProvider",
    "pbspro": "PBSProProvider",
    "lsf": "LSFProvider",
    "gridengine": "GridEngineProvider",
    "condor": "CondorProvider",
    "kubernetes": "KubernetesProvider",
    "aws": "AWSProvider",
    "googlecloud": "GoogleCloudProvider",
    "azure": "AzureProvider",
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

LIBRARIES = {"kubernetes": "kubernetes", "aws": "boto3", "googlecloud": "googleapiclient", "azure": "azure"}
"""The library that each needs, which comes with the extra of the provider's name."""

MORE: Mapping[str, Mapping[str, object]] = {
    "kubernetes": {"walltime": str, "pod_template": str, "gpus_per_node": int, "persistent_volumes": list[list[str]]},
}
"""Settings of some beside the parameters of Parsl's class, or in another form."""

FEWER: Mapping[str, frozenset[str]] = {"kubernetes": frozenset({"nodes_per_block", "pod_name"})}
"""Parameters that are no settings: a block is one pod, whose name is the run's to choose."""
WALLTIME_HOLDS = frozenset({"slurm", "pbspro", "lsf", "gridengine"})
"""Schedulers that end a block by the provider's walltime."""

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


class Parameter(NamedTuple):
    """A setting of a provider: the type of the value, and whether there must be one."""

    kind: object
    required: bool = False


def parameters(provider: str, folder: Path) -> Mapping[str, Parameter]:
    """Return the settings of a provider by their names.

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
    hidden = OURS | FEWER.get(provider, frozenset())
    found = {
        name: Parameter(_kind(hints.get(name), parameter.default), parameter.default is inspect.Parameter.empty)
        for name, parameter in inspect.signature(called).parameters.items()
        if name not in hidden and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    return found | {name: Parameter(kind) for name, kind in MORE.get(provider, {}).items()}


def default_walltime(provider: str) -> str | None:
    """Return how long a provider's blocks last when it is not told; None where the scheduler sets no end."""
    if provider not in WALLTIME_HOLDS:
        return None
    default = inspect.signature(find_maker(provider, Path())).parameters["walltime"].default
    return str(default)


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


def make_provider(profile: Profile, worker_init: str, request: PoolRequest, run_id: str) -> ExecutionProvider:
    """Make a profile's provider.

    Parameters
    ----------
    worker_init
        Shell text that a block runs before its pool, after the profile's own.
    request
        What the workers of its environment are to be.
    run_id
        The run's mark.

    Raises
    ------
    TypeError
        The site's function returns none.
    """
    from parsl.providers.base import ExecutionProvider

    name = profile.settings.provider
    if name == "kubernetes":
        from envsolver.run.parsl.kubernetes import KubernetesBlocks

        provider: Any = KubernetesBlocks(profile, request, run_id)
    elif name == "slurm":
        from envsolver.run.parsl.slurm import SlurmBlocks

        provider = SlurmBlocks(**_arguments(profile))
    else:
        provider = find_maker(name, profile.folder)(**_arguments(profile))
    if name not in PROVIDERS and not isinstance(provider, ExecutionProvider):
        raise TypeError(f"{name} returned {type(provider).__name__}, which is no Parsl provider")
    _bound_commands(provider)
    launch: Any = getattr(provider, "launcher", None)
    began = f"export {BLOCK_BEGAN}=$(date +%s)"
    if hasattr(provider, "worker_init"):
        provider.worker_init = f"{began}\n{provider.worker_init}\n{worker_init}\n"
    else:
        provider.launcher = lambda command, *rest: launch(f"{began}\n{worker_init}\n{command}", *rest)
    if name in {"aws", "azure"}:
        # What halts the machine stands after it, and must not be left out by its `exit`.
        provider.launcher = lambda command, *rest: f"(\n{launch(command, *rest)}\n)"
    return cast("ExecutionProvider", provider)


def _bound_commands(provider: Any) -> None:
    """Have a scheduler's commands end when their time is up, and what hangs with them."""
    from parsl.providers.cluster_provider import ClusterProvider

    if isinstance(provider, ClusterProvider):
        seconds = provider.cmd_timeout
        provider.execute_wait = lambda cmd, timeout=None: ask(cmd, timeout or seconds)  # type: ignore[method-assign]


def _arguments(profile: Profile) -> dict[str, Any]:
    """Return what Parsl's class, or the site's function, is called with."""
    from parsl import launchers

    def converted(name: str, value: object) -> object:
        if name == "launcher":
            return getattr(launchers, LAUNCHERS[str(value)])()
        return list(value) if isinstance(value, tuple) else value

    found = {name: converted(name, value) for name, value in profile.options.items()}
    if profile.settings.provider == "aws":
        # Parsl's own bound on instances, and the file by which a later run finds the same network: not in the project.
        found = {"max_blocks": profile.settings.max_blocks, "state_file": _aws_state(profile.name), **found}
    return found


def _aws_state(name: str) -> str:
    folder = user_state_path("envsolver", ensure_exists=True)
    return str(folder / f"aws-{name}.json")


def rights(profile: Profile) -> tuple[str, str]:
    """Return where a profile needs rights, and which it lacks there; two empty texts where it needs none."""
    if profile.settings.provider != "kubernetes":
        return "", ""
    from envsolver.run.parsl.kubernetes_api import rights_fault

    namespace = str(profile.options.get("namespace", "default"))
    return f"namespace {namespace}", rights_fault(namespace)


def unusable(profile: Profile) -> tuple[str, str]:
    """Return why a profile cannot be used here, after the key that says so; two empty texts when it can."""
    name, template = profile.settings.provider, profile.options.get("pod_template")
    library = LIBRARIES.get(name)
    if library is not None and find_spec(library) is None:
        return "provider", f"needs the library {library}: install envsolver[{name}]"
    if name != "kubernetes":
        return "", ""
    from envsolver.run.parsl.kubernetes_api import configuration_fault
    from envsolver.run.parsl.pods import read_template

    try:
        if template is not None:
            read_template(profile.folder / str(template))
    except ValueError as error:
        return "pod-template", f"{template} {error}"
    fault = configuration_fault()
    return ("provider", fault) if fault else ("", "")
