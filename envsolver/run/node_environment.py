"""Environments of nodes with disks of their own: the lock travels, and each node builds what its jobs need, once.

Run on a node as ``python -m envsolver.run.node_environment <order>``. The environment gets the path that it has on the
controller's machine, which is how its jobs name it.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path

from envsolver.core.environments import Lock
from envsolver.core.errors import BuildError, EnvsolverError
from envsolver.environments.store import Store
from envsolver.environments.uv import Uv


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a node is to build.

    Attributes
    ----------
    root, pass_env
        The project's root, and the variables that uv sees.
    cache
        The cache's directory, on the node's disk.
    prefix
        Where the environment must be.
    """

    root: Path
    pass_env: tuple[str, ...]
    cache: Path
    lock: Lock
    prefix: Path


def build(order: Order) -> None:
    """Build an environment here unless it is there; of several that ask at once one builds.

    Raises
    ------
    BuildError
        It could not be built, or not where its jobs look for it.
    """
    store = Store(order.cache, Uv(order.root, cache=order.cache, pass_env=order.pass_env))
    if store.prefix_for(order.lock) != order.prefix:
        raise BuildError(
            "uv's settings differ between this node and the machine that started the run",
            tip="Let uv.toml and the variables that start with UV_ be the same on both.",
        )
    store.ensure(order.lock)


def main() -> int:
    """Build what the order says; the exit code is 0 when the environment is there."""
    try:
        build(pickle.loads(Path(sys.argv[1]).read_bytes()))  # noqa: S301  in a folder of the user's own
    except EnvsolverError as error:
        sys.stderr.write(f"{error.message}\n{error.tip}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
