"""What a run needs of the machine, looked at before anything starts: what fails later fails without a word."""

from __future__ import annotations

import os
import sys

import psutil

from envsolver.core.errors import ConfigurationError
from envsolver.core.quantities import size
from envsolver.run.options import Options, available_cores, worker_count
from envsolver.run.scheduler.policy import Budget

MEMORY_SHARE = 0.9
"""The part of the memory that is free at the start which running notebooks may take together."""

_FOR_THE_RUN = 26
"""Threads and processes that a run starts whatever it runs: Parsl's programs, templates, the guardian."""

_FOR_EACH_WORKER = 16
"""Threads and processes of one worker with its kernel. Both numbers are measured, with small notebooks."""

_ADDRESSES = 1 << 30
"""Bytes of address space below which processes end now and then: seen up to 450 MB, on two cores."""


def check_semaphores() -> None:
    """Make sure that Parsl's pools can start, whose processes talk by shared memory.

    Raises
    ------
    ConfigurationError
        They could not.
    """
    import multiprocessing

    try:
        multiprocessing.Lock()
    except (OSError, ImportError) as error:
        raise ConfigurationError(
            [f"workers cannot be started: no semaphore can be made in shared memory, /dev/shm on Linux: {error}"],
            tip="Have a file system there that can be written (`mount -t tmpfs tmpfs /dev/shm`), or add --sequential.",
        ) from error


def check_address_space() -> None:
    """Make sure that the system lets each process have as many addresses as a run and its kernels take.

    With fewer, ZeroMQ ends a process as soon as a thread is refused, without a word that helps.

    Raises
    ------
    ConfigurationError
        It does not.
    """
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _ADDRESSES:
        needed = f"while Parsl and a kernel take up to {size(_ADDRESSES)} each, whatever the notebook"
        raise ConfigurationError(
            [f"a process may have {size(limit)} of address space (`ulimit -v`), {needed}"],
            tip="Raise the limit (`ulimit -v unlimited`); limits of notebooks are `memory` in the configuration.",
        )


def check_process_limit(workers: int) -> None:
    """Make sure that the system lets this user start what some workers need.

    Beyond its limit some libraries end their process, and others wait for ever.

    Raises
    ------
    ConfigurationError
        It does not.
    """
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if limit == resource.RLIM_INFINITY or os.getuid() == 0:  # the limit does not bind the administrator
        return
    needed = _FOR_THE_RUN + workers * _FOR_EACH_WORKER
    taken = count_threads(os.getuid())
    if taken + needed > limit:
        few = max(1, (limit - taken - _FOR_THE_RUN) // _FOR_EACH_WORKER)
        more = f"{workers} worker{'' if workers == 1 else 's'} may need {needed} more"
        raise ConfigurationError(
            [f"this user may have {limit} processes and threads (`ulimit -u`) and has {taken}, while {more}"],
            tip=f"Raise the limit, or add --workers {few}." if few < workers else "Raise it, or add --sequential.",
        )


def count_threads(user: int) -> int:
    """Return how many threads the processes of a user have, each process having one at least."""
    found = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids is not None and uids.real == user:
            found += process.info["num_threads"] or 1
    return found


def budgets(options: Options) -> dict[str, Budget]:
    """Return what the notebooks of a run may use together, by their profile."""
    workers = worker_count(options)
    # What a node holds is for its pool to say.
    found = {
        profile.name: Budget(
            slots=min(workers, profile.slots),
            cores=sys.maxsize,
            memory=sys.maxsize,
            blocks=profile.settings.max_blocks,
            block_size=profile.slots // profile.settings.max_blocks,
        )
        for profile in options.placement.clusters
    }
    if options.placement.here:
        # Asked for more workers than there are cores, a run that has no other place takes the person's word for it.
        here = min(workers, available_cores()) if found else workers
        memory = int(psutil.virtual_memory().available * MEMORY_SHARE)
        found[""] = Budget(slots=here, cores=max(here, available_cores()), memory=memory)
    return found
