"""What a solve is asked beside a group's requirements, and the arguments for uv that say it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from envsolver.core.environments import Group
from envsolver.core.notebooks import Origin, Requirement

WITH = "--with"
"""Where requirements come from that the command line adds to every group."""
EARLY = "--pre"
_ALL_RELEASES = ["--prerelease", "allow"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SolveOptions:
    """What a solve is asked beside the requirements."""

    exclude_newer: str | None = None
    """Leave out packages published after this date (RFC 3339)."""
    resolution: str | None = None
    """uv's strategy, such as ``lowest-direct``; None for the newest versions."""
    build: bool = True
    """Whether a package may be built, and so run, to learn what it depends on."""
    more: tuple[str, ...] = ()
    """Requirements that every group gets beside its own."""
    prerelease: bool = False
    """Whether releases before the final ones count."""
    indexes: tuple[str, ...] = ()
    """Addresses of indexes that are asked before the others."""
    preferred: tuple[str, ...] = ()
    """Pins that are kept where nothing speaks against them."""

    @property
    def options(self) -> list[str]:
        """The arguments for uv."""
        newer = ["--exclude-newer", self.exclude_newer] if self.exclude_newer else []
        strategy = ["--resolution", self.resolution] if self.resolution else []
        early = _ALL_RELEASES if self.prerelease else []
        return [*newer, *strategy, *early, *([] if self.build else ["--no-build"])]

    @property
    def added(self) -> tuple[Requirement, ...]:
        """The requirements that every group gets, with where they come from."""
        return tuple(Requirement(text=text, origin=Origin(path=WITH)) for text in self.more)

    def asked(self, group: Group) -> Group:
        """Return a group with what it is asked beside its own."""
        sources = (f"--extra-index-url {url}" for url in self.indexes)
        return replace(group, requirements=(*group.requirements, *self.added), options=(*group.options, *sources))


def early_releases(group: Group) -> list[str]:
    """Return the arguments for uv that let in releases before the final one, as ``--pre`` asks of pip."""
    return _ALL_RELEASES if EARLY in group.options else []


def own_sets(group: Group) -> list[str]:
    """Return the arguments by which uv reads dependency groups itself, since it knows what sources they have."""
    return [argument for name in group.sets.groups for argument in ("--group", name)] if group.sets else []


def kept(terms: SolveOptions, folder: Path) -> list[str]:
    """Return the arguments by which uv keeps versions where it can, as it does those of a file that it writes anew."""
    if not terms.preferred:
        return []
    path = folder / "preferred.txt"
    path.write_text("".join(f"{pin}\n" for pin in terms.preferred), encoding="utf-8")
    return ["-o", str(path)]
