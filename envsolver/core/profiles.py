"""Where jobs run: this machine, or the nodes that one of Parsl's providers brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from envsolver.core.settings import PositiveCount, Seconds, Text

LOCAL = "local"
"""The profile of this machine, which needs no table."""


Sending: TypeAlias = Literal["shared", "send"]
"""Whether nodes see the project, or are sent it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileSettings:
    """The keys of a profile that are envsolver's own; all others are those of its provider in Parsl."""

    provider: Text
    """`slurm`, `kubernetes`, or another of Parsl's by name, or `site.py:function`, which makes one."""
    address: Text | None = None
    """Address of this machine that the nodes reach; without it and `interface`, they try all that it has."""
    interface: Text | None = None
    """Network interface whose address that is, such as `ib0`."""
    ports: tuple[PositiveCount, ...] = ()
    """First and last port that the nodes may connect to, such as `[54000, 54100]`."""
    poll: Seconds = 10.0
    """Seconds between two questions to the scheduler; some sites forbid less than 120."""
    environments: Text | None = None
    """Folder on the shared file system for environments and for what nodes and controller exchange."""
    node_environments: bool = False
    """Each node builds the environments anew on its own disk, at the path that they have here; uv must be there."""
    project: Sending = "shared"
    """`"send"`: nodes do not see the project; git's files of it, with their changes, travel as one archive."""
    scratch: Text | None = None
    """Folder on a node's own disk for what notebooks write, such as `$TMPDIR`; the node's variables may stand in it."""
    workers_per_node: PositiveCount | None = None
    """Most notebooks that a node runs at once. Default: `cores-per-node`, over the cores of a notebook."""
    max_blocks: PositiveCount = 1
    """Most blocks (jobs of the scheduler) at once, over all environments."""
    python: Text | None = None
    """Python on the nodes that has this envsolver; by default the controller's own, at the same path."""
    start_deadline: Seconds = 86400.0
    """Seconds that a block may wait in the queue before its notebooks are given up."""
    connect_deadline: Seconds = 900.0
    """Seconds that a block that has its nodes may take until its workers are there; then it is cancelled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A profile that has been checked.

    Attributes
    ----------
    settings
        Its own keys.
    options
        The arguments of its provider, by Parsl's names.
    file, folder
        The file that it stands in, and what a path in it is relative to.
    """

    name: str
    settings: ProfileSettings
    options: Mapping[str, object] = field(default_factory=dict)
    file: str = ""
    folder: Path = Path()

    @property
    def slots(self) -> int:
        """How many notebooks its blocks run at once."""
        return self.settings.max_blocks * self.nodes_per_block * self.workers_per_node

    @property
    def workers_per_node(self) -> int:
        """How many notebooks a node runs at once."""
        return self.settings.workers_per_node or self._whole("cores_per_node", 1)

    @property
    def nodes_per_block(self) -> int:
        """How many nodes a block has."""
        return self._whole("nodes_per_block", 1)

    @property
    def walltime(self) -> float | None:
        """How long a block lasts, seconds; None when the profile does not say."""
        text = self.options.get("walltime")
        if not isinstance(text, str):
            return None
        hours, minutes, seconds = map(int, text.split(":"))
        return 3600.0 * hours + 60.0 * minutes + seconds

    @property
    def gpus_per_node(self) -> int:
        """How many GPUs a node has."""
        return self._whole("gpus_per_node", 0)

    def _whole(self, name: str, otherwise: int) -> int:
        value = self.options.get(name)
        return value if isinstance(value, int) else otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Under which profile the notebooks of each group run; None stands for this machine.

    Attributes
    ----------
    default
        The profile of groups that name none.
    groups
        Those of groups that do.
    """

    default: Profile | None = None
    groups: Mapping[str, Profile | None] = field(default_factory=dict)

    def of(self, group: str) -> Profile | None:
        """Return a group's profile."""
        return self.groups.get(group, self.default)

    def only(self, groups: Iterable[str]) -> Placement:
        """Return it without the profiles that none of these groups needs; the same when there is no group."""
        placed = {group: self.of(group) for group in groups}
        return Placement(default=next(iter(placed.values())), groups=placed) if placed else self

    @property
    def clusters(self) -> tuple[Profile, ...]:
        """The profiles of clusters, each once."""
        return tuple({each.name: each for each in (self.default, *self.groups.values()) if each is not None}.values())

    @property
    def here(self) -> bool:
        """Whether notebooks may run on this machine."""
        return self.default is None or None in self.groups.values()
