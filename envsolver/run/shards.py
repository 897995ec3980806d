"""Split a run over several machines into shards of equal times.

Each machine splits for itself, so all of them must come to the same split, or a notebook would be lost or run twice.
So it is made of nothing but what all of them have: the selected notebooks and the configuration, which are the
checkout's, and the times in a file that every machine is given (`--times`). A project's own history does not count:
it differs from machine to machine, and already the first shard that ends changes it. Without given times, the
notebooks are split into equal numbers. The whole split is written into each shard's results, so that `envsolver merge`
finds out what is missing, and also when the machines did not agree.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from statistics import mean, median

from envsolver.config.load import settings_for
from envsolver.core.errors import ConfigurationError
from envsolver.core.parsing import MalformedError, parse_json, read_text
from envsolver.core.results import Run, Shard, Slice
from envsolver.core.settings import Config
from envsolver.report.results_json import read_results, run_from_data
from envsolver.run.history import History
from envsolver.run.job_arrays import find_shard

_SQLITE = b"SQLite format 3\x00"  # how every such file begins
_SHARD = re.compile(r"\s*(?:(\d+)\s*/\s*(\d+)|auto(?:\s*/\s*([1-9]\d*))?)\s*")


def parse_shard(text: str, environ: Mapping[str, str]) -> tuple[int, int]:
    """Read ``2/4`` as the second of four; ``auto``, or ``auto/4``, as what the job array's variables say.

    Parameters
    ----------
    environ
        Environment variables.

    Raises
    ------
    ConfigurationError
        It is written differently, or there is no such shard.
    """
    match = _SHARD.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            [f"--shard {text}: must be written as 2/4, for the second of four, or as auto in a job array"]
        )
    if match.group(1) is None:
        return find_shard(environ, int(match.group(3)) if match.group(3) else None)
    index, count = int(match.group(1)), int(match.group(2))
    if not 1 <= index <= count:
        raise ConfigurationError(
            [f"--shard {text}: there is no shard {index} of {count}; they are 1/{count} and so on"]
        )
    return index, count


def make_shard(config: Config, notebooks: Iterable[str], shard: tuple[int, int], times: Path | None) -> Shard:
    """Split the selected notebooks, and say which part is ours.

    Parameters
    ----------
    notebooks
        All that are selected, the same on every machine; what becomes of them must not matter.
    shard
        Our number, counted from 1, and how many there are.
    times
        File with the times, the same on every machine; None splits into equal numbers.

    Raises
    ------
    ConfigurationError
        The times cannot be read.
    """
    index, count = shard
    expected = weights(tuple(notebooks), read_times(times) if times else {})
    # A notebook that the configuration skips takes no time, on any machine.
    expected.update({path: 0.0 for path in expected if settings_for(config, path).skip})
    slices = split(expected, count)
    ours = tuple(each.notebook for each in slices if each.shard == index)
    return Shard(index=index, count=count, slices=slices, notebooks=ours)


def weights(notebooks: Collection[str], times: Mapping[str, float]) -> dict[str, float]:
    """Expect of each notebook its time, else the median of those that are known, else the same of all; seconds."""
    known = {path: times[path] for path in notebooks if path in times}
    usual = median(known.values()) if known else 1.0
    return {path: known.get(path, usual) for path in sorted(notebooks)}


def split(expected: Mapping[str, float], count: int) -> tuple[Slice, ...]:
    """Deal notebooks out, the longest first, each to the shard that has the least so far; sorted by notebook.

    The largest sum is at most 4/3 - 1/(3 `count`) times the least possible one (R. L. Graham, "Bounds on
    multiprocessing timing anomalies", SIAM Journal on Applied Mathematics 17, 1969).
    """
    loads = [0.0] * count
    numbers = [0] * count
    slices = []
    for path in sorted(expected, key=lambda path: (-expected[path], path)):
        # Equal sums are ordered by number, so that notebooks without known times are shared out as well.
        place = min(range(count), key=lambda shard: (loads[shard], numbers[shard], shard))
        loads[place] += expected[path]
        numbers[place] += 1
        slices.append(Slice(notebook=path, shard=place + 1))
    return tuple(sorted(slices, key=lambda each: each.notebook))


def read_times(path: Path) -> dict[str, float]:
    """Read what notebooks take, seconds, from a history file, the results of a run, or its folder.

    Raises
    ------
    ConfigurationError
        There is no such file, or it holds no times.
    """
    if not path.exists():
        raise ConfigurationError(
            [f"--times {path}: there is no such file"],
            tip="Every shard must be given the same times; without --times, all split into equal numbers.",
        )
    measured: dict[str, list[float]] = {}
    for notebook, seconds in _measured(path):
        measured.setdefault(notebook, []).append(seconds)
    if not measured:
        raise ConfigurationError([f"--times {path}: holds no time of a notebook that passed"])
    return {notebook: mean(values) for notebook, values in measured.items()}


def _measured(path: Path) -> list[tuple[str, float]]:
    if path.is_file() and _is_database(path):
        records = History(path).records()
        return [(record.notebook, record.seconds) for record in records if record.seconds is not None]
    run = read_results(path) if path.is_dir() else _read_run(path)
    return [(result.notebook, result.seconds) for result in run.results if result.status == "passed"]


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _read_run(path: Path) -> Run:
    """Read results that have been copied out of their run's folder, under any name."""
    try:
        data = parse_json(read_text(path))
    except (OSError, MalformedError) as error:
        raise ConfigurationError([f"--times {path}: is neither a history nor the results of a run: {error}"]) from None
    return run_from_data(data, path.parent)
