"""From notebooks and their groups to jobs: each setting from its most particular source. Pure, and tested alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from envsolver.config.load import settings_for
from envsolver.core.environments import Assignment, Group, Interpreter
from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import Binding, Edits, Job, Limits
from envsolver.core.notebooks import Notebook
from envsolver.core.parsing import ODD_INPUT, phrase_of, read_text
from envsolver.core.profiles import Placement
from envsolver.core.results import Result
from envsolver.core.settings import Config, GroupSettings
from envsolver.resolver.own_project import own_project
from envsolver.resolver.pythons import why_unsupported
from envsolver.run.resolution import Resolution

SLUG_LENGTH = 40
"""How much of a notebook's name its job's id shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDefaults:
    """What all jobs of a run have in common."""

    config: Config
    run_id: str
    """The run's mark."""
    run_dir: Path
    """The run's folder."""
    timeout: float | None = None
    """Seconds for a whole notebook, over every other setting; None leaves the settings alone."""
    output_files: tuple[str, ...] = ()
    """As in `Job`."""
    placement: Placement = field(default_factory=Placement)
    """Under which profile each group runs."""


def plan_jobs(
    defaults: JobDefaults, resolution: Resolution, chosen: Sequence[Assignment]
) -> tuple[tuple[Job, ...], tuple[Result, ...]]:
    """Turn assignments into jobs, one a Python version, and into the results of notebooks that will not run.

    Parameters
    ----------
    chosen
        The assignments to run, in order.

    Returns
    -------
    tuple
        The jobs, and results with the verdicts `skipped`, `environment` and `failed`, with their reasons.
    """
    own = own_project(defaults.config.root)
    project = "" if own is None else " ".join([own.name, *sorted(own.repositories)])
    jobs: list[Job] = []
    settled: list[Result] = []
    for assignment in chosen:
        for version, interpreter in resolution.interpreters.items():
            kept = assignment.verdict is None and _python_reason(defaults, resolution, assignment, interpreter)
            if assignment.verdict is not None or kept:
                settled.append(
                    Result(
                        notebook=assignment.notebook,
                        group=assignment.group or "",
                        python=version,
                        strategy=defaults.config.strategy,
                        status=assignment.verdict or "skipped",
                        reason=assignment.reason or str(kept),
                    )
                )
            else:
                job = _job(defaults, resolution, assignment, version, number=len(jobs) + 1)
                jobs.append(replace(job, binding=replace(job.binding, project=project)))
    return tuple(jobs), tuple(settled)


def _python_reason(
    defaults: JobDefaults, resolution: Resolution, assignment: Assignment, interpreter: Interpreter
) -> str:
    """Say why a notebook does not run on a Python version, or nothing."""
    group = resolution.groups[assignment.group or ""]
    script = resolution.notebooks[assignment.notebook].script
    reasons = (
        why_unsupported(_named(defaults.config, group), group.requires_python, interpreter),
        why_unsupported(
            "the notebook", settings_for(defaults.config, assignment.notebook).requires_python, interpreter
        ),
        why_unsupported("the notebook's script block", script.requires_python if script else None, interpreter),
    )
    return next((reason for reason in reasons if reason), "")


def _named(config: Config, group: Group) -> str:
    """Return a group's name in a reason, with the environment that it is, if somebody else builds that."""
    return (
        f"group {group.name}, which is {config.groups[group.name].prefix}," if group.prefix else f"group {group.name}"
    )


def _job(defaults: JobDefaults, resolution: Resolution, assignment: Assignment, version: str, *, number: int) -> Job:
    config = defaults.config
    notebook = resolution.notebooks[assignment.notebook]
    settings = settings_for(config, notebook.path)
    group = config.groups.get(assignment.group or "", GroupSettings())
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(notebook.path).stem).strip("-")[:SLUG_LENGTH]
    memory = settings.memory if settings.memory is not None else group.memory
    profile = defaults.placement.of(assignment.group or "")
    return Job(
        id=f"{defaults.run_id[:8]}-{number:04d}-{slug}",
        notebook=notebook.path,
        group=assignment.group or "",
        python=version,
        root=str(config.root),
        run_dir=str(defaults.run_dir),
        run_id=defaults.run_id,
        output_files=defaults.output_files,
        limits=Limits(
            # A cell that may take long, by the notebook's metadata, is not cut short by a limit not set for it.
            timeout=_first(
                defaults.timeout, settings.timeout, group.timeout, max(config.timeout, notebook.cell_timeout or 0)
            ),
            cell_timeout=_first(settings.cell_timeout, notebook.cell_timeout, config.cell_timeout),
            cores=settings.cores or group.cores,
            memory=None if memory is None else int(memory),
            output=int(config.output_limit),
        ),
        binding=Binding(
            env={**config.env, **group.env, **settings.env},
            pass_env=config.pass_env,
            requirements_place=_requirements_place(resolution.groups[assignment.group or ""], notebook),
        ),
        edits=Edits(
            replace=settings.replace,
            skip_cells=settings.skip_cells or (),
            stop_at=settings.stop_at,
            parameters=settings.parameters,
            before=_source_before(config, settings.before),
        ),
        strategy=config.strategy,
        warnings=(*group.warnings, *(settings.warnings or ())),
        profile="" if profile is None else profile.name,
        allow_errors=notebook.allow_errors,
    )


def _source_before(config: Config, file: str | None) -> str:
    """Return the source of the cell before the first one, which names its file.

    Raises
    ------
    ConfigurationError
        The file cannot be read.
    """
    if file is None:
        return ""
    try:
        return f"# {file}, before the first cell\n{read_text(config.root / file)}"
    except ODD_INPUT as error:
        raise ConfigurationError([f"before: the file {file} {phrase_of(error)}"]) from error


def _requirements_place(group: Group, notebook: Notebook) -> str:
    """Return what a requirement would be added to: without a file of its group, the notebook itself."""
    if group.place:
        return group.place
    scripted = notebook.script is not None
    return (
        "the `# /// script` block of the notebook"
        if scripted
        else "an unconditional `%pip install` line of the notebook"
    )


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
