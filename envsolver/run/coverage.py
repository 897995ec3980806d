"""Which lines of the package under test the notebooks of a run cover: what is measured, with what, and where it goes.

coverage is in no environment of a notebook. It stands in one of its own for each Python, which is built and cached like
any other, and the kernels load it from there: `in_environment/covering`.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envsolver.core.environments import Environment, Interpreter
from envsolver.core.errors import EnvsolverError
from envsolver.core.notebooks import Origin, Requirement
from envsolver.core.paths import COVERAGE_DATA
from envsolver.core.quantities import plural
from envsolver.environments.bytecode import site_packages
from envsolver.environments.file_lock import file_lock
from envsolver.environments.in_environment import COMBINE_COVERAGE
from envsolver.resolver.groups import derive_group
from envsolver.resolver.own_project import own_project
from envsolver.run.coverage_options import CoverageOptions
from envsolver.run.project import Project
from envsolver.worker.coverage_data import FAULT
from envsolver.worker.kernel_env import COVERAGE

REQUIREMENT = "coverage[toml]>=7.6"
"""What is installed beside each Python; older versions cannot be told what they need to be told."""


COMBINE_SECONDS = 600.0
"""How long it may take to combine the data of all notebooks."""


@dataclass(kw_only=True, slots=True)
class RunCoverage:
    """The coverage of one run."""

    project: Project
    options: CoverageOptions
    directory: Path
    """The run's folder."""
    begun: float = field(default_factory=time.time)
    overlays: dict[str, Environment] = field(default_factory=dict)
    """The environments that hold coverage, by the version of Python."""
    guard: threading.Lock = field(default_factory=threading.Lock)

    def variables(self, interpreter: Interpreter) -> dict[str, str]:
        """Return the variables by which the kernels of a Python measure; coverage is installed if need be.

        Raises
        ------
        EnvsolverError
            coverage cannot be had for that Python.
        """
        prefix = self._overlay(interpreter).prefix
        settings = {
            "overlay": str(site_packages(prefix)),
            "python": interpreter.minor,
            "root": str(self.project.root),
            "config": self.options.config,
            "branch": self.options.branch,
            "source": self.options.source,
            "packages": sorted(own_modules(self.project.root)),
        }
        return {COVERAGE: json.dumps(settings)}

    def _overlay(self, interpreter: Interpreter) -> Environment:
        wanted = Requirement(text=REQUIREMENT, origin=Origin(path="coverage"))
        group = derive_group("coverage", [wanted], root=self.project.root)
        with self.guard:
            if interpreter.version not in self.overlays:
                lock = self.project.lock(group, interpreter)
                self.overlays[interpreter.version] = self.project.store.ensure(lock)
            return self.overlays[interpreter.version]

    def combine(self) -> str:
        """Combine what was measured into the project's data file; return what is to be said of it."""
        folders = self.directory / COVERAGE_DATA
        files = sorted(str(file) for file in folders.glob("*/data.*"))
        faults = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(folders.glob(f"*/{FAULT}"))]
        told = f"coverage: {plural(len(faults), 'notebook')} could not be measured: {faults[0]}" if faults else ""
        overlay = next(iter(self.overlays.values()), None)
        if overlay is None or not files:
            return told or "coverage: nothing was measured"
        if not self.options.combine:
            return told
        request: dict[str, Any] = {
            "files": files,
            "config": self.options.config,
            "branch": self.options.branch,
            "append": self.options.append,
            "begun": self.begun,
        }
        # Not as one of uv's commands, which a run that is interrupted starts no more.
        command = [str(overlay.prefix / "bin" / "python"), "-I", str(COMBINE_COVERAGE), json.dumps(request)]
        with file_lock(self.project.state / "coverage.lock"):
            answer = subprocess.run(
                command, cwd=self.project.root, check=False, capture_output=True, text=True, timeout=COMBINE_SECONDS
            )
        if answer.returncode:
            raise EnvsolverError(f"coverage could not combine its data in {folders}: {answer.stderr.strip()}")
        return "\n".join(filter(None, [told, f"coverage: {answer.stdout}"]))


def own_modules(root: Path) -> frozenset[str]:
    """Return the modules that the project itself makes."""
    own = own_project(root)
    return frozenset() if own is None else own.modules


def not_ahead(facts: str, root: Path, source: Sequence[str]) -> str:
    """Return what is known of a template, so that no module that is measured is loaded in it: its top lines count."""
    try:
        known = json.loads(facts or "{}")
    except ValueError:
        known = {}
    known = known if isinstance(known, dict) else {}
    excluded = known.get("excluded")
    measured = [*own_modules(root), *(name for name in source if name.replace(".", "").isidentifier())]
    return json.dumps({**known, "excluded": [*(excluded if isinstance(excluded, list) else ()), *measured]})
