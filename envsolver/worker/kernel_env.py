"""The environment variables that a kernel sees: a short safe list, what the job sets, and envsolver's own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from envsolver.core.jobs import Job
from envsolver.core.variables import chosen
from envsolver.environments.in_environment import COVERING, PIP_GUARD, PYTHONPATH
from envsolver.worker.isolation import READ
from envsolver.worker.processes import JOB_MARK, RUN_MARK

KERNEL_ARGUMENTS = ("--HistoryManager.hist_file=:memory:",)
"""What a kernel is started with, beside its connection file."""

INSTALL_RECORD = "ENVSOLVER_INSTALL_RECORD"
"""Names the file in which the pip guard records each install that the environment does not satisfy."""

READ_LOG = "ENVSOLVER_READ"
"""Names the file in which a kernel, and each Python that it starts, tells what it reads."""

COVERAGE = "ENVSOLVER_COVERAGE"
"""What coverage is to measure, as JSON; there while it measures."""

COVERAGE_DATA = "ENVSOLVER_COVERAGE_DATA"
"""The directory for what it measures of one job."""

SAFE = (
    "CI", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "XDG_CACHE_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
    # Where the machine's libraries would misjudge the hardware, these put it right.
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_*", "ROCR_*", "HIP_VISIBLE_DEVICES",
)  # fmt: skip
"""Variables that pass from envsolver's own environment; ``*`` at the end matches any rest."""

THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS", "TORCH_NUM_THREADS",
    "POLARS_MAX_THREADS", "LOKY_MAX_CPU_COUNT", "JULIA_NUM_THREADS",
)  # fmt: skip
"""Variables that set how many threads a library starts: each is the job's number of cores."""

_TOOLS = ("pip", "pip3", "uv", "conda", "mamba", "micromamba", "easy_install")


def variables(job: Job, private: Path, mark: str, outer: Mapping[str, str]) -> dict[str, str]:
    """Return all variables of a job's kernel.

    Parameters
    ----------
    private
        The job's private directory, which holds its temporary files and its Jupyter directories.
    mark
        Value of `JOB_MARK`.
    outer
        envsolver's own environment.
    """
    binding = job.binding
    bin_directory = Path(binding.prefix, "bin")
    path = [str(private / "bin"), str(bin_directory), outer.get("PATH") or os.defpath]
    covering = [str(COVERING)] if COVERAGE in binding.env else []
    library = [*covering, *filter(None, [binding.env.get("PYTHONPATH", "")]), str(PYTHONPATH)]
    return {
        **outer_variables(job, outer),
        **dict.fromkeys(THREADS, str(job.limits.cores)),
        # An environment is never changed and compiled when built, and a linked module's folder is not ours to write to.
        "PYTHONDONTWRITEBYTECODE": "1",
        **binding.env,
        "PATH": os.pathsep.join([*path[:2], binding.env.get("PATH") or path[2]]),
        "PYTHONPATH": os.pathsep.join(library),
        "VIRTUAL_ENV": binding.prefix,
        "TMPDIR": str(private / "tmp"),
        **{name: str(private / "jupyter" / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")},
        "JUPYTER_RUNTIME_DIR": str(private / "jupyter"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": str(private / "ipython"),
        RUN_MARK: job.run_id,
        JOB_MARK: mark,
        INSTALL_RECORD: str(private / "installs.jsonl"),
        READ_LOG: str(private / READ),
        **({COVERAGE_DATA: str(private / "coverage")} if covering else {}),
        "ENVSOLVER_GROUP": job.group,
        "ENVSOLVER_REQUIREMENTS_PLACE": binding.requirements_place,
        "ENVSOLVER_PROJECT": binding.project,
    }


def outer_variables(job: Job, outer: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of envsolver's own environment that a job's kernel sees."""
    return chosen(outer, (*SAFE, *job.binding.pass_env))


def write_shims(job: Job, private: Path) -> None:
    """Put commands named pip, uv, conda and so on into the job's private ``bin``; each calls the guard."""
    directory = private / "bin"
    directory.mkdir()
    python = shlex.quote(str(Path(job.binding.prefix, "bin", "python")))
    script = f'#!/bin/sh\nexec {python} {shlex.quote(str(PIP_GUARD))} "$(basename "$0")" "$@"\n'
    first = directory / _TOOLS[0]
    first.write_text(script, encoding="utf-8")
    first.chmod(0o755)
    for name in (*_TOOLS[1:], f"pip{job.python}"):
        (directory / name).symlink_to(first.name)
