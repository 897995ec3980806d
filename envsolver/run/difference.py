"""What became different between two runs: newly broken, newly mended, slower, and the packages that may be why."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name

from envsolver.core.environments import Environment, EnvironmentUse
from envsolver.core.results import Result, Run
from envsolver.core.verdicts import Verdict
from envsolver.run.merge import find_runs, merge, ran_again
from envsolver.run.suspects import Change, Distributions, Suspect, changes, suspects

SLOWER = 1.3
"""By which factor a notebook must be slower, beyond what all notebooks together are."""
SLOWER_SECONDS = 1.0
"""By how much it must be slower; less is noise."""
_LOST = re.compile(r"Failed to \w+(?: and \w+)? `([A-Za-z][\w.-]*)==([^`\s]+)`")
"""How uv names a version that it could not download or build."""
_ENOUGH = 5
"""From how many notebooks on their median says how fast the two machines were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A notebook whose verdict is good in one run and not in the other."""

    notebook: str
    group: str
    python: str
    before: Verdict
    after: Verdict
    reason: str = ""
    """Why it does not pass, in the run where it does not."""
    suspects: tuple[Suspect, ...] = ()
    """The packages that differ between its two environments, the likeliest cause first; only when newly broken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slower:
    """A notebook that takes longer, by more than noise."""

    notebook: str
    group: str
    python: str
    before: float
    after: float
    """Seconds, without the kernel's start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What became different between two runs."""

    broken: tuple[Changed, ...]
    mended: tuple[Changed, ...]
    slower: tuple[Slower, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    """Notebooks of which only one of the two runs has a verdict."""


def load_run(place: Path) -> Run:
    """Return the run in a folder or `results.json`, or what the shards in a folder make together.

    Raises
    ------
    NothingToRunError
        There is none.
    ConfigurationError
        A file cannot be read, or the runs are not shards of one.
    """
    found = find_runs([place])
    runs = [run for run in found if run not in ran_again(found)]
    return runs[0] if len(runs) == 1 else merge([_seen_from(place.resolve(), run) for run in runs], place, copy=False)


def compare(before: Run, after: Run) -> Difference:
    """Return what became different from one run to another; what was skipped in either is left out."""
    one, two = _by_key(before), _by_key(after)
    both = sorted(one.keys() & two.keys())
    pairs = [(one[key], two[key]) for key in both if "skipped" not in {one[key].status, two[key].status}]
    environments = _environments(before), _environments(after)
    broken = [(old, new) for old, new in pairs if old.good and not new.good]
    return Difference(
        broken=tuple(_broken(after, old, new, environments) for old, new in broken),
        mended=tuple(_changed(old, new, old.reason) for old, new in pairs if new.good and not old.good),
        slower=tuple(_slower(pairs)),
        only_before=_names(one.keys() - two.keys()),
        only_after=_names(two.keys() - one.keys()),
    )


def _seen_from(place: Path, run: Run) -> Run:
    """Return a shard's run with the names of its files as they are seen from the folder that holds all shards."""
    inner = run.directory.relative_to(place)
    places = ([str(inner / file) if file else "" for file in (r.executed, r.log)] for r in run.results)
    moved = (replace(r, executed=copy, log=log) for r, (copy, log) in zip(run.results, places, strict=True))
    return replace(run, results=tuple(moved))


class _Key(NamedTuple):
    """What is compared: a notebook on a Python version; a derived group may be called otherwise in another run."""

    notebook: str
    python: str


_Environments = Mapping[EnvironmentUse, Environment]


def _by_key(run: Run) -> dict[_Key, Result]:
    return {_Key(result.notebook, result.python): result for result in run.results}


def _names(keys: Iterable[_Key]) -> tuple[str, ...]:
    return tuple(sorted({key.notebook for key in keys}))


def _environments(run: Run) -> _Environments:
    return {each.use: each for each in run.environments}


def _broken(run: Run, old: Result, new: Result, environments: tuple[_Environments, _Environments]) -> Changed:
    uses = [EnvironmentUse(result.environment, result.group) for result in (old, new)]
    before, after = (found.get(use) for found, use in zip(environments, uses, strict=True))
    differing = changes(before, after) if before and after else _named_in(new.reason, before)
    found = suspects(run, new, differing, Distributions([after, before]))
    return _changed(old, new, new.reason, tuple(found))


def _named_in(reason: str, before: Environment | None) -> tuple[Change, ...]:
    """Return the packages that the reason names why there is no second environment.

    These are those that the first one holds, and those of which it says that one version could not be had.
    """
    words = {str(canonicalize_name(word)) for word in re.findall(r"[A-Za-z][\w.-]*\w", reason)}
    held = {package.name: package.version for package in (before.packages if before else ())}
    lost = {str(canonicalize_name(name)): version for name, version in _LOST.findall(reason)}
    named = dict.fromkeys([*lost, *(name for name in held if name in words)])
    return tuple(Change(name=name, before=held.get(name), after=lost.get(name)) for name in named)


def _changed(old: Result, new: Result, reason: str, found: tuple[Suspect, ...] = ()) -> Changed:
    return Changed(
        notebook=new.notebook,
        group=new.group,
        python=new.python,
        before=old.status,
        after=new.status,
        reason=reason,
        suspects=found,
    )


def _slower(pairs: Sequence[tuple[Result, Result]]) -> Iterable[Slower]:
    """Yield the notebooks that are slower by more than noise, the most first."""
    passed = [(old, new) for old, new in pairs if old.status == new.status == "passed"]
    times = [(max(0.0, old.seconds - old.start_seconds), new.seconds - new.start_seconds) for old, new in passed]
    ratios = [new / old for old, new in times if old > 0]
    # One machine may be faster than the other as a whole.
    pace = statistics.median(ratios) if len(ratios) >= _ENOUGH else 1.0
    found = [
        Slower(notebook=new.notebook, group=new.group, python=new.python, before=took, after=takes)
        for (_, new), (took, takes) in zip(passed, times, strict=True)
        if takes > SLOWER * pace * took and takes - pace * took > SLOWER_SECONDS
    ]
    return sorted(found, key=lambda each: each.before - each.after)
