"""Runs that look like real ones, for the tests of reports."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from pathlib import Path

from envsolver.core.environments import Environment, Package
from envsolver.core.results import CellTime, Failure, Result, Run, WarningPlace

STARTED = datetime(2026, 3, 14, 9, 26, 53, tzinfo=timezone.utc)

NOTEBOOKS: dict[str, tuple[tuple[str, float], ...]] = {
    "core": (
        ("demos/core/quickstart.ipynb", 4.1),
        ("demos/core/low_discrepancy_points.ipynb", 6.3),
        ("demos/core/vectorised_qmc.ipynb", 9.8),
        ("demos/core/control_variates.ipynb", 5.2),
        ("demos/core/digital_nets.ipynb", 3.4),
        ("demos/core/lattice_rules.ipynb", 3.9),
        ("demos/core/sobol_indices.ipynb", 14.6),
        ("demos/core/randomisation.ipynb", 2.8),
        ("demos/core/importance_sampling.ipynb", 7.7),
        ("demos/core/multilevel.ipynb", 18.9),
        ("demos/finance/asian_option.ipynb", 11.3),
        ("demos/finance/barrier_option.ipynb", 8.4),
        ("demos/finance/american_option_by_regression.ipynb", 62.1),
        ("demos/finance/greeks.ipynb", 6.6),
    ),
    "ml": (
        ("demos/ml/gaussian_process_regression.ipynb", 12.2),
        ("demos/ml/bayesian_optimisation.ipynb", 19.4),
        ("demos/ml/deep_kernel.ipynb", 16.0),
        ("demos/ml/bayesian_logistic_regression.ipynb", 9.1),
        ("demos/ml/acquisition_functions_with_quasi_random_base_samples.ipynb", 58.7),
        ("demos/ml/batch_sampling.ipynb", 7.0),
        ("demos/talks/mcqmc_talk.ipynb", 10.5),
    ),
    "umbridge": (
        ("demos/umbridge/beam.ipynb", 8.8),
        ("demos/umbridge/inverse_problem.ipynb", 13.7),
        ("demos/umbridge/surrogate.ipynb", 11.9),
        ("demos/umbridge/darcy_flow.ipynb", 17.2),
        ("demos/umbridge/posterior.ipynb", 5.5),
    ),
    "paper": (
        ("demos/papers/2023_figure_1.ipynb", 9.9),
        ("demos/papers/2023_figure_2.ipynb", 12.6),
        ("demos/papers/2023_table_1.ipynb", 4.7),
        ("demos/papers/2023_table_2.ipynb", 6.0),
        ("demos/papers/2023_appendix.ipynb", 3.3),
        ("demos/papers/2023_error_bounds.ipynb", 7.4),
        ("demos/papers/2023_stopping_criteria.ipynb", 15.1),
    ),
}

PACKAGES = {
    "core": {"ipykernel": "7.4.0", "matplotlib": "3.10.8", "numpy": "2.4.6", "qmcpy": "2.1", "scipy": "1.17.1"},
    "ml": {"botorch": "0.16.1", "gpytorch": "1.14.3", "ipykernel": "7.4.0", "qmcpy": "2.1", "torch": "2.13.0"},
    "umbridge": {"ipykernel": "7.4.0", "matplotlib": "3.10.8", "qmcpy": "2.1", "umbridge": "1.2.4"},
    "paper": {"ipykernel": "6.29.5", "numpy": "1.26.4", "qmcpy": "1.6.2.1", "scipy": "1.12.0"},
}

ANSI_TRACEBACK = (
    "\x1b[31m---------------------------------------------------------------------------\x1b[39m\n"
    "\x1b[31mAssertionError\x1b[39m                            Traceback (most recent call last)\n"
    "\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[5]\x1b[39m\x1b[32m, line 4\x1b[39m\n"
    "\x1b[32m      2\x1b[39m price = asian.estimate(n)\n"
    "\x1b[32m      3\x1b[39m error = \x1b[38;5;28mabs\x1b[39m(price - exact)\n"
    "\x1b[32m----> \x1b[39m\x1b[32m4\x1b[39m check(error < tolerance, "
    '\x1b[33mf\x1b[39m\x1b[33m"\x1b[39m\x1b[33merror \x1b[39m'
    "\x1b[38;5;132;01m{\x1b[39;00merror\x1b[38;5;132;01m}\x1b[39;00m"
    '\x1b[33m"\x1b[39m)\n'
    "\n"
    "\x1b[36mFile \x1b[39m\x1b[32m~/demos/finance/checks.py:12\x1b[39m, in "
    "\x1b[36mcheck\x1b[39m\x1b[34m(ok, text)\x1b[39m\n"
    "\x1b[32m     10\x1b[39m def check(ok, text):\n"
    "\x1b[32m     11\x1b[39m     if not ok:\n"
    "\x1b[32m---> \x1b[39m\x1b[32m12\x1b[39m         \x1b[38;5;28;01mraise\x1b[39;00m AssertionError(text)\n"
    "\n"
    "\x1b[31mAssertionError\x1b[39m: error 0.0173 is not below 0.001 <script>alert(1)</script>\n"
)

ASSERTION = Failure(
    cell=9,
    ename="AssertionError",
    evalue="error 0.0173 is not below 0.001 <script>alert(1)</script>",
    traceback=ANSI_TRACEBACK,
    source=(
        "n = 2**14\n"
        "price = asian.estimate(n)\n"
        "error = abs(price - exact)\n"
        'check(error < tolerance, f"error {error}")\n'
        'print(f"The price is {price:.4f}, {error / exact:.1e} from the closed form.")'
    ),
)

ENDLESS = Failure(
    cell=12,
    ename="CellTimeoutError",
    evalue="the cell was still running after 120 s",
    source="while residual > 1e-300:\n    state = newton_step(state)\n    residual = norm(state)",
)


OLD_NUMPY = WarningPlace(
    category="DeprecationWarning",
    message="`np.trapz` is deprecated <script>alert(2)</script>",
    path="qmcpy/integrand/asian_option.py",
    line=112,
    count=64,
    hidden=True,
)
"""What a library is warned of in several notebooks."""

OWN_CELL = WarningPlace(
    category="matplotlib.MatplotlibDeprecationWarning",
    message="The get_cmap function was deprecated",
    path="",
    line=3,
    cell=4,
)
"""What a notebook's own cell is warned of."""


def lay_out(
    durations: dict[str, tuple[tuple[str, float], ...]], workers: int
) -> list[tuple[str, str, float, float, str]]:
    """Schedule longest first on `workers`: group, notebook, start and duration in seconds, and worker."""
    free = [3.0] * workers
    jobs = sorted(((s, g, n) for g, pairs in durations.items() for n, s in pairs), reverse=True)
    laid = []
    for seconds, group, notebook in jobs:
        lane = free.index(min(free))
        laid.append((group, notebook, free[lane], seconds, f"{group}/{lane}"))
        free[lane] += seconds + 0.1
    return laid


def environments(directory: Path) -> tuple[Environment, ...]:
    return tuple(
        Environment(
            key=f"{number:x}" * 16,
            group=group,
            python="3.11",
            prefix=directory / "environments" / group,
            packages=tuple(Package(name=name, version=version) for name, version in packages.items()),
            built=group == "paper",
            seconds=41.2 if group == "paper" else 0.1,
        )
        for number, (group, packages) in enumerate(PACKAGES.items(), start=10)
    )


def all_pass(directory: Path, workers: int = 4) -> Run:
    """Return a run of 33 passes over four groups."""
    keys = {environment.group: environment.key for environment in environments(directory)}
    results = []
    for group, notebook, start, seconds, worker in lay_out(NOTEBOOKS, workers):
        stem = Path(notebook).stem
        results.append(
            Result(
                notebook=notebook,
                group=group,
                python="3.11",
                status="passed",
                environment=keys[group],
                started=(STARTED + timedelta(seconds=start)).isoformat(),
                seconds=seconds,
                start_seconds=0.9,
                peak_rss_bytes=int((180 + 9 * seconds) * 2**20) * (4 if group == "ml" else 1),
                worker=worker,
                cells=(CellTime(cell=2, seconds=0.4), CellTime(cell=4, seconds=seconds - 1.3)),
                executed=f"executed/{stem}.ipynb",
                log=f"logs/{stem}.log",
            )
        )
    last = max(datetime.fromisoformat(str(r.started)) + timedelta(seconds=r.seconds) for r in results)
    return Run(
        directory=directory,
        started=STARTED.isoformat(),
        wall_seconds=(last - STARTED).total_seconds() + 0.8,
        workers=workers,
        results=tuple(results),
        environments=environments(directory),
    )


def with_failures(directory: Path, workers: int = 2) -> Run:
    """Return a run with failures of several kinds, skipped notebooks, and one that was not run."""
    run = all_pass(directory, workers)
    changes: dict[str, dict[str, object]] = {
        "demos/finance/asian_option.ipynb": {
            "status": "failed",
            "failure": ASSERTION,
            "reason": "cell 9 raised AssertionError",
            "left_behind": ("demos/finance/price.png",),
            "warnings": (OLD_NUMPY, OWN_CELL),
            "warning_count": 65,
        },
        "demos/papers/2023_figure_2.ipynb": {
            "status": "timeout",
            "failure": ENDLESS,
            "reason": "cell 12 was still running after its limit of 120 s",
        },
        "demos/ml/deep_kernel.ipynb": {
            "status": "memory",
            "reason": "its processes used 4.1 GiB, over the limit of 4.0 GiB",
            "peak_rss_bytes": int(4.1 * 2**30),
        },
        "demos/umbridge/darcy_flow.ipynb": {"status": "crashed", "reason": "the kernel ended with exit status 1"},
        "demos/core/multilevel.ipynb": {
            "status": "cached",
            "reason": "passed on 2026-03-13 with the same inputs",
            "started": None,
            "worker": "",
        },
        "demos/finance/greeks.ipynb": {"reason": "passed at the second attempt; the first was lost", "attempts": 2},
        "demos/finance/barrier_option.ipynb": {"warnings": (OLD_NUMPY,), "warning_count": 64},
    }
    results = [dataclasses.replace(result, **changes.get(result.notebook, {})) for result in run.results]  # type: ignore[arg-type]
    results.append(
        Result(
            notebook="demos/talks/live_market_data.ipynb",
            group="core",
            python="3.11",
            status="skipped",
            reason="needs a market data licence",
        )
    )
    results.append(
        Result(
            notebook="demos/ml/jax_sampling.ipynb",
            group="",
            python="3.11",
            status="environment",
            reason="no group provides jax and flax (cells 2 and 5); the closest is ml, which lacks both",
        )
    )
    return dataclasses.replace(
        run,
        results=tuple(results),
        not_run=("demos/ml/batch_sampling_on_many_cores.ipynb",),
        stopped="stopped at the first notebook that did not pass",
    )


HACK = "parent.postMessage(`hacked`, `*`)"
"""What a hostile script does; a page can listen for it, whatever frame it comes from."""

HOSTILE_HTML = (
    f'<b onclick="{HACK}">bold</b><script>{HACK}</script><img src=x onerror="{HACK}">'
    f'<iframe src="https://example.org"></iframe><a href="javascript:{HACK}">link</a>'
    f'<svg onload="{HACK}"><script>{HACK}</script></svg></iframe></details><h1>outside</h1>'
)
"""What a notebook could print to run a script in a report."""

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def executed_notebook() -> dict[str, object]:
    """Return an executed copy with all kinds of output, a hostile one among them, as JSON data."""
    outputs: list[dict[str, object]] = [
        {"output_type": "stream", "name": "stdout", "text": ["4096 points, ", "estimate 5.7832\n"]},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": PIXEL, "text/plain": ["<Figure>"]}},
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": HOSTILE_HTML}},
        {"output_type": "display_data", "metadata": {}, "data": {"application/javascript": HACK}},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"image/svg+xml": f'<svg xmlns="http://www.w3.org/2000/svg"><script>{HACK}</script></svg>'},
        },
    ]
    error = {
        "output_type": "error",
        "ename": "AssertionError",
        "evalue": ASSERTION.evalue,
        "traceback": ANSI_TRACEBACK.split("\n"),
    }
    table = (
        "<table><thead><tr><th>n</th><th>price</th></tr></thead><tbody><tr><td>1024</td><td>5.79</td></tr>"
        "<tr><td>4096</td><td>5.783</td></tr></tbody></table>"
    )
    frame = {"output_type": "execute_result", "execution_count": 2, "metadata": {}, "data": {"text/html": table}}
    prose = "# Asian options\n\nThe payoff is $\\max(\\bar S - K, 0)$. " + HOSTILE_HTML
    first = (
        "import qmcpy as qp\n\ndef price(n):\n    '''Estimate the price.'''\n    return asian.estimate(n)  # n points"
    )
    return {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": prose},
            {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": first, "outputs": outputs},
            {"cell_type": "code", "metadata": {}, "execution_count": 2, "source": "frame", "outputs": [frame]},
            {"cell_type": "code", "metadata": {}, "execution_count": 5, "source": ASSERTION.source, "outputs": [error]},
            {"cell_type": "code", "metadata": {}, "execution_count": None, "source": "plot(prices)", "outputs": []},
        ],
    }
