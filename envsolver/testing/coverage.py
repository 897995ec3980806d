"""What pytest-cov's options ask of a run of notebooks, and what it gets: data files that it combines with its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envsolver.core.paths import COVERAGE_DATA
from envsolver.run.coverage_options import CoverageOptions, from_root


def coverage_asked(config: pytest.Config, root: Path) -> CoverageOptions | None:
    """Return what pytest-cov's options ask for; None without that plugin, or where it measures nothing."""
    measured = _measured(config)
    if measured is None:
        return None
    option = config.option
    rcfile = Path(config.invocation_params.dir, option.cov_config or ".coveragerc")
    return CoverageOptions(
        source=tuple(
            from_root(name, root, config.invocation_params.dir)
            for name in option.cov_source or ()
            if isinstance(name, str) and name
        ),
        branch=True if option.cov_branch else None,
        config=str(rcfile) if rcfile.is_file() else "",
        combine=False,
    )


def hand_over(config: pytest.Config, directory: Path | None) -> None:
    """Put a run's data where pytest-cov combines them with its own."""
    measured = _measured(config)
    if measured is None or directory is None:
        return
    place = Path(str(measured.get_option("run:data_file"))).absolute()
    for number, file in enumerate(_files(directory)):
        shutil.copyfile(file, place.with_name(f"{place.name}.envsolver.{os.getpid()}.{number}"))


def _files(directory: Path) -> Iterator[Path]:
    return iter(sorted((directory / COVERAGE_DATA).glob("*/data.*")))


def _measured(config: pytest.Config) -> Any:
    """Return pytest-cov's `Coverage`; None where there is none."""
    plugin = config.pluginmanager.get_plugin("_cov")
    return getattr(getattr(plugin, "cov_controller", None), "cov", None)
