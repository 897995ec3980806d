"""What a notebook's verdict depends on, as far as it is known before it runs.

`input_digests` are of the code that it finds by its text, which is what choosing templates needs. `facts` are the
first half of its `Fingerprint`; the other is what it read.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from envsolver.core.digests import digest, file_digest
from envsolver.core.environments import Group
from envsolver.core.fingerprints import Look
from envsolver.core.jobs import Job
from envsolver.core.settings import Config
from envsolver.resolver.own_project import own_project
from envsolver.resolver.requirement_text import local_path
from envsolver.run.resolution import Resolution
from envsolver.worker.kernel_env import outer_variables

FORMAT = "2"
"""Changes with what a worker does to a notebook, and with what a fingerprint holds."""

UNCOUNTED = frozenset({"HOME", "USER", "LOGNAME", "SHELL", "XDG_CACHE_HOME"})
"""Variables that a notebook sees, and whose values are no part of its fingerprint."""

_IMPORTABLE = (".py", ".so", ".pyd")


def input_digests(resolution: Resolution, root: Path, jobs: Iterable[Job] = ()) -> dict[str, str]:
    """Return a SHA-256 for each notebook, by path.

    It changes with the notebook's code cells, with the local modules that it imports, and with the sources of projects
    that its group installs editable, such as the repository's own package.

    Parameters
    ----------
    root
        The project's root.
    jobs
        What is to run: code before a notebook's first cell is part of its code.
    """
    before = {job.notebook: [job.edits.before] for job in jobs if job.edits.before}
    sources = {name: _editable_sources(group, root) for name, group in resolution.groups.items()}
    return {
        a.notebook: digest(
            [
                resolution.notebooks[a.notebook].code_digest,
                *sources.get(a.group or "", ()),
                *before.get(a.notebook, ()),
            ]
        )
        for a in resolution.assignments
    }


def _editable_sources(group: Group, root: Path) -> list[str]:
    named = {local_path(r.text) for r in group.requirements if r.text.startswith("-e")}
    return [source_digest((root / name).resolve()) for name in sorted(filter(None, named))]


@cache
def source_digest(project: Path) -> str:
    """Return the SHA-256 of what a project's own modules consist of, by name and content."""
    parts: list[str] = []
    for path in _modules(project):
        with contextlib.suppress(OSError):  # vanished meanwhile
            parts += [str(path.relative_to(project)), file_digest(path)]
    return digest(parts)


def _modules(project: Path) -> Iterator[Path]:
    own = own_project(project)
    for name in sorted(own.modules) if own is not None else ():
        for place in (project / "src", project):
            yield from (path for path in (place / f"{name}{ending}" for ending in _IMPORTABLE) if path.is_file())
            for folder, folders, files in os.walk(place / name):
                folders.sort()
                yield from (Path(folder, file) for file in sorted(files) if file.endswith(_IMPORTABLE))


def facts(job: Job, resolution: Resolution, config: Config, *, building: str) -> dict[str, str]:
    """Return what a job is to run, and in what, by what people call it.

    Values of variables, which may be secret, are digests.

    Parameters
    ----------
    building
        What changes how a pinned package is built, as text.
    """
    lock = resolution.locks[job.target]
    edits = job.edits
    changes = [*edits.replace.items(), edits.skip_cells, edits.stop_at, *edits.parameters.items()]
    changes += [edits.before] if edits.before else []
    changes += [("warnings", *job.warnings)] if job.warnings else []
    variables = {**outer_variables(job, os.environ), **job.binding.env}
    group = config.groups.get(job.group)
    services = {name: config.services[name] for name in (group.services if group else ())}
    return {
        "format": FORMAT,
        "platform": f"{platform.system()} {platform.machine()} {lock.interpreter.platform}",
        "code": resolution.notebooks[job.notebook].cells_digest,
        "settings": digest([*map(repr, changes), str(job.allow_errors), str(job.limits.cores)]),
        "package Python": lock.interpreter.version,
        **{f"package {each.name}": each.version for each in lock.packages if "/" not in each.version},
        "environment": _environment_digest(building, lock.text, config.root),
        **{f"variable {name}": digest([value]) for name, value in variables.items() if name not in UNCOUNTED},
        **{
            f"service {name}": digest([each.command, repr(sorted(each.env.items()))]) for name, each in services.items()
        },
    }


def service_looks(job: Job, config: Config) -> tuple[Look, ...]:
    """Return what counts as read by a group's services: the folders of the files that their commands name."""
    group = config.groups.get(job.group)
    words = [word for name in (group.services if group else ()) for word in shlex.split(config.services[name].command)]
    files = [Path(word) for word in words if (config.root / word).is_file() and not Path(word).is_absolute()]
    return tuple(dict.fromkeys(Look("tree", file.parent.as_posix()) for file in files))


@cache  # the jobs of a group have one lock
def _environment_digest(building: str, lock: str, root: Path) -> str:
    return digest([building, *_pins(lock, root)])


def _pins(lock: str, root: Path) -> Iterator[str]:
    """Yield what the text of a lock pins, without hashes and comments; of a local project, its place and its digest."""
    local, place = False, root.as_uri()
    for line in lock.splitlines():
        if line[:1].strip() and not line.startswith(("#", "--hash")):
            local = "file:" in line
            yield line.rstrip(" \\").replace(place, ".")
        elif local and line.lstrip().startswith("#"):
            yield line.strip()
