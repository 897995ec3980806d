"""Join the results of a run's shards, and say what is missing: a merged run is good only when nothing is."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from envsolver.core.environments import Environment, EnvironmentUse
from envsolver.core.errors import ConfigurationError, NothingToRunError
from envsolver.core.paths import HISTORY, RESULTS, RUNS
from envsolver.core.results import Result, ResultKey, Run
from envsolver.report.results_json import read_results
from envsolver.report.run_files import file_in
from envsolver.report.timeline import parse_time


def find_runs(places: Sequence[Path], without: Path | None = None) -> tuple[Run, ...]:
    """Read the runs that are named: a run's folder, its `results.json`, or a directory that holds such folders.

    Parameters
    ----------
    without
        Folder that is left out where it is not named itself: an earlier merge.

    Raises
    ------
    NothingToRunError
        A place holds no run.
    ConfigurationError
        A `results.json` cannot be read.
    """
    folders: list[Path] = []
    for place in places:
        found = [
            folder for folder in _folders(place) if folder == place or without is None or not _same(folder, without)
        ]
        if not found:
            raise NothingToRunError(f"{place} holds no {RESULTS}", tip="Name the folders of the shards' runs.")
        folders += found
    # `latest` points at a run that is there under its own name as well; some archives make a copy of it.
    found_runs: list[Run] = []
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        run = read_results(folder)
        if not any(replace(run, directory=other.directory) == other for other in found_runs):
            found_runs.append(run)
    return tuple(found_runs)


def find_histories(places: Sequence[Path], runs: Iterable[Run], name: str = HISTORY) -> tuple[Path, ...]:
    """Return the histories of a name that lie in the places, or beside the folder of runs that a run lies in."""
    inside = [file for place in places if place.is_dir() for file in sorted(place.rglob(name))]
    beside = [run.directory.parent.parent / name for run in runs if run.directory.parent.name == RUNS]
    return tuple(dict.fromkeys(file.resolve() for file in (*inside, *beside) if file.is_file()))


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _folders(place: Path) -> list[Path]:
    if place.name == RESULTS and place.is_file():
        return [place.parent]
    if (place / RESULTS).is_file():
        return [place]
    return sorted(path.parent for path in place.rglob(RESULTS))


def ran_again(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the shards that did not come to their end and of which another run did: their notebooks ran again."""
    whole = {(run.shard.index, run.shard.slices) for run in runs if run.shard and run.state == "complete"}
    return tuple(
        run for run in runs if run.shard and run.state != "complete" and (run.shard.index, run.shard.slices) in whole
    )


def verify(runs: Sequence[Run]) -> None:
    """Make sure that runs can be joined.

    Raises
    ------
    ConfigurationError
        The runs overlap, or are not shards of the same split. Lists every fault.
    """
    faults = list(_faults(runs))
    if faults:
        raise ConfigurationError(faults, tip="Name each shard of one run once.")


def merge(runs: Sequence[Run], directory: Path, *, copy: bool = True) -> Run:
    """Join runs into one, whose folder is `directory`, and copy their executed notebooks and logs there.

    Notebooks of a missing shard, and those that a shard never reached, are in `not_run`; `stopped` says why.

    Raises
    ------
    ConfigurationError
        As `verify` does, before anything is written.
    """
    verify(runs)
    ordered = sorted(runs, key=lambda run: run.shard.index if run.shard else 0)
    for run in ordered if copy else ():
        _copy_files(run, directory)
    missing = _missing_shards(ordered)
    not_run = _not_run(ordered, missing)
    whole = not not_run and all(run.state == "complete" for run in ordered)
    return Run(
        directory=directory,
        started=min((run.started for run in ordered), key=_moment),
        wall_seconds=_wall_seconds(ordered),
        workers=sum(run.workers for run in ordered),
        results=tuple(_named(run, result) for run in ordered for result in run.results),
        environments=_environments(ordered),
        not_run=not_run,
        state="complete" if whole else "interrupted",
        stopped=_why_incomplete(ordered, missing),
        conflicts=tuple(dict.fromkeys(text for run in ordered for text in run.conflicts)),
        blocks=tuple(block for run in ordered for block in run.blocks),
    )


def _faults(runs: Sequence[Run]) -> Iterator[str]:
    shards = [(run, run.shard) for run in runs if run.shard]
    if shards and len(shards) < len(runs):
        yield from (f"{run.directory}: is no shard, and the others are" for run in runs if not run.shard)
    seen: dict[int, Run] = {}
    for run, shard in shards:
        first = shards[0][1]
        if shard.count != first.count:
            yield f"{run.directory}: is shard {shard}, and {shards[0][0].directory} is shard {first}"
        elif shard.slices != first.slices:
            different = sorted({each.notebook for each in {*shard.slices} ^ {*first.slices}})
            yield (
                f"{run.directory}: was split differently from {shards[0][0].directory}, which concerns "
                f"{_listed(different)}; all shards must select the same notebooks and be given the same --times"
            )
        elif shard.index in seen:
            yield f"{run.directory}: is shard {shard}, and so is {seen[shard.index].directory}"
        seen.setdefault(shard.index, run)
    if not shards:
        yield from _overlaps(runs)


def _overlaps(runs: Sequence[Run]) -> Iterator[str]:
    """Name the results that two runs without shards both have."""
    seen: dict[ResultKey, Run] = {}
    for run in runs:
        keys = [result.key for result in run.results]
        for other in dict.fromkeys(str(seen[key].directory) for key in keys if key in seen):
            both = [key[0] for key in keys if key in seen and str(seen[key].directory) == other]
            yield f"{run.directory}: has results that {other} has too: {_listed(both)}"
        seen.update(dict.fromkeys(keys, run))


def _missing_shards(runs: Sequence[Run]) -> tuple[int, ...]:
    have = {run.shard.index for run in runs if run.shard}
    count = next((run.shard.count for run in runs if run.shard), 0)
    return tuple(index for index in range(1, count + 1) if index not in have)


def _not_run(runs: Sequence[Run], missing: Sequence[int]) -> tuple[str, ...]:
    found = {notebook for run in runs for notebook in (*run.not_run, *_lost(run))}
    slices = next((run.shard.slices for run in runs if run.shard), ())
    return tuple(sorted(found | {each.notebook for each in slices if each.shard in missing}))


def _lost(run: Run) -> Iterator[str]:
    """Yield the notebooks of a shard of which it says nothing, as when its machine was switched off."""
    named = {*run.not_run, *(result.notebook for result in run.results)}
    if run.shard:
        yield from (notebook for notebook in run.shard.notebooks if notebook not in named)


def _why_incomplete(runs: Sequence[Run], missing: Sequence[int]) -> str:
    reasons = [f"shard {run.shard}: {run.stopped}" if run.shard else run.stopped for run in runs if run.stopped]
    reasons += [f"shard {run.shard} ended before all its notebooks had a verdict" for run in runs if any(_lost(run))]
    if missing:
        names, count = ", ".join(map(str, missing)), _count(runs)
        again = f"`envsolver run --shard {missing[0] if len(missing) == 1 else 'N'}/{count}` runs one alone"
        reasons.append(f"shard{'s' if len(missing) > 1 else ''} {names} of {count} missing ({again})")
    return "; ".join(reasons)


def _count(runs: Sequence[Run]) -> int:
    return next(run.shard.count for run in runs if run.shard)


def _named(run: Run, result: Result) -> Result:
    """Return a result whose worker names the shard too, since each machine has its own first worker."""
    if run.shard is None or not result.worker:
        return result
    return replace(result, worker=f"{run.shard.index}:{result.worker}")


def _environments(runs: Iterable[Run]) -> tuple[Environment, ...]:
    found: dict[EnvironmentUse, Environment] = {}
    for run in runs:
        for environment in run.environments:
            first = found.setdefault(environment.use, environment)
            # It counts as built when any machine had to build it, and by the longest time that took.
            longest = max(first, environment, key=lambda each: (each.built, each.seconds))
            found[environment.use] = longest
    return tuple(found.values())


def _copy_files(run: Run, directory: Path) -> None:
    for result in run.results:
        for relative in (result.executed, result.log):
            source = file_in(run, relative)
            if source is not None:
                target = directory / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


def _wall_seconds(runs: Sequence[Run]) -> float:
    """Return the time from the first start to the last end; machines' clocks agree well enough for that."""
    moments = [(_moment(run.started), run.wall_seconds) for run in runs]
    return max(begun + seconds for begun, seconds in moments) - min(begun for begun, _ in moments)


def _moment(text: str) -> float:
    found = parse_time(text)
    return found.timestamp() if found else 0.0


def _listed(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
