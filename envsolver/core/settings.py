"""The configuration's types: what `[tool.envsolver]` may hold, once it has been validated.

Beside `models`, these are the only types that stages share. They are plain data, which costs nothing to import;
`configuration.validation` checks a file against them. The docstring under each field is the text of the reference
table in the documentation and of the JSON schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

# The validation checks what these names say.
Count: TypeAlias = int
"""A whole number, 0 or more."""
PositiveCount: TypeAlias = int
"""A whole number, 1 or more."""
Seconds: TypeAlias = float
"""A time above 0."""
Days: TypeAlias = float
"""A number of days above 0."""
Size: TypeAlias = int
"""A number of bytes, in the file also text such as `"4GiB"`."""
Text: TypeAlias = str
"""Text that is not empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupSettings:
    """`[tool.envsolver.groups.<name>]`: one dependency set."""

    requirements: str = ""
    """File with the group's requirements, relative to the project's root. Default: `requirements/<group>.in`, unless
    another key says what the group holds."""
    dependency_groups: tuple[str, ...] = ()
    """Dependency groups of `pyproject.toml` (PEP 735) that make this group, with the project itself."""
    extras: tuple[str, ...] = ()
    """Extras of the project that make this group, with the project itself."""
    notebooks: tuple[str, ...] = ()
    """Globs of the notebooks that belong to this group, which takes no others. Without it, imports decide."""
    cores: PositiveCount = 1
    """CPU cores that one notebook of this group gets, and the size of its thread pools."""
    memory: Size | None = None
    """Memory limit of one notebook's process tree, such as `"4GiB"`."""
    gpus: Count = 0
    """GPUs that one notebook of this group needs."""
    profile: Text | None = None
    """Profile that this group's notebooks run under, such as `"gpu"`, whatever that of the run is; `"local"` keeps them
    on this machine (see docs/clusters.md)."""
    services: tuple[str, ...] = ()
    """Names of the services that must run while notebooks of this group run."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for this group's notebooks."""
    timeout: Seconds | None = None
    """Seconds for a whole notebook of this group."""
    warnings: tuple[str, ...] = ()
    """Filters of warnings in pytest's syntax, such as `"error::DeprecationWarning:mypackage"`, which makes those of one
    package fail this group's notebooks."""
    requires_python: str | None = None
    """Versions of Python that the group supports, such as `">=3.11"`; on others its notebooks are skipped."""
    prefix: str = ""
    """Environment that somebody else builds for this group, such as `".pixi/envs/ml"`: used as it is, never changed."""
    lock: bool | Literal["uv.lock"] = True
    """Whether `envsolver lock` writes a lock file for this group; `"uv.lock"` takes its versions from the project's
    own lock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotebookSettings:
    """`[tool.envsolver.notebook."<path or glob>"]`: one notebook, or several."""

    group: str | None = None
    """The group that it runs in, whatever it imports."""
    timeout: Seconds | None = None
    """Seconds for the whole notebook."""
    cell_timeout: Seconds | None = None
    """Seconds for one cell."""
    cores: PositiveCount | None = None
    """CPU cores that it gets."""
    memory: Size | None = None
    """Memory limit of its process tree."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for it."""
    replace: Mapping[str, str] = field(default_factory=dict)
    """Text to replace in its code cells, in the executed copy only."""
    skip_cells: tuple[str, ...] | None = None
    """Code cells that hold one of these texts are not run."""
    stop_at: str | None = None
    """The first code cell that holds this text, and all after it, are not run."""
    parameters: Mapping[str, bool | int | float | str | None] = field(default_factory=dict)
    """Values assigned right after the cell tagged `parameters`, or before the first cell where none is."""
    warnings: tuple[str, ...] | None = None
    """Filters of warnings in pytest's syntax, beside its group's; the last that fits a warning decides."""
    skip: Text | None = None
    """The reason why it is not run at all."""
    requires_python: str | None = None
    """Versions of Python that it supports; on others it is skipped."""
    before: Text | None = None
    """File of Python code that runs in the kernel before the first cell, relative to the root, such as
    `"tests/mock_sampling.py"`; the executed copy shows it."""
    marks: tuple[str, ...] | None = None
    """Marks that it has in pytest beside its tags, for `-m` (see docs/how-to/pytest.md)."""
    cache: Literal["always", "never"] | None = None
    """`"always"` keeps a pass although not all that it read could be seen, such as a server's answers; `"never"` runs
    it each time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategySettings(NotebookSettings):
    """`[tool.envsolver.strategies.<name>]`: settings for one occasion, such as smoke.

    What it sets about notebooks holds for all of them, over their own tables.
    """

    notebook: Mapping[str, NotebookSettings] = field(default_factory=dict)
    """Settings per notebook, by path or glob, over all others."""
    groups: Mapping[str, GroupSettings] = field(default_factory=dict)
    """Keys of groups, over those of the groups' own tables."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSettings:
    """`[tool.envsolver.services.<name>]`: a server that notebooks need."""

    command: Text
    """Command that starts it; `{port}` stands for a free port. `python` is the group's environment's."""
    ready: str | None = None
    """URL that answers below HTTP status 500 once it is ready. Without it, the port must accept a connection."""
    ready_timeout: Seconds = 60.0
    """Seconds that it may take until it is ready."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the notebooks that use it; `{port}` stands for its port."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """`[tool.envsolver]`: everything about one project."""

    notebooks: tuple[str, ...] = ("**/*.ipynb",)
    """Globs of the notebooks to test, relative to the project's root."""
    exclude: tuple[str, ...] = ()
    """Globs of notebooks to leave out entirely."""
    python: tuple[str, ...] = ()
    """Python versions: the first is the default, all are the matrix. Default: the one envsolver runs on, if the
    project's own `requires-python` allows it, else one that it allows."""
    timeout: Seconds = 600.0
    """Seconds for a whole notebook."""
    cell_timeout: Seconds = 300.0
    """Seconds for one cell."""
    build_timeout: Seconds = 3600.0
    """Seconds for one call of uv, which may build packages: to solve a group, or to fill an environment."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for all notebooks. They see these, a short safe list, and `pass-env`; nothing else."""
    pass_env: tuple[str, ...] = ()
    """Names of environment variables to pass through to the notebooks; `*` at the end matches any rest."""
    output_limit: Size = 8 * 1024 * 1024
    """Output kept per cell, such as `"8MiB"`; what is beyond is cut, and the cut is shown."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Import names and the distributions that provide them, such as `{ sklearn = "scikit-learn" }`."""
    exclude_newer: str | None = None
    """Leave out packages published after this date (RFC 3339), for repeatable solves."""
    cache_days: Days = 30.0
    """For how many days a pass is kept where nothing that the notebook depends on changes; then it runs again."""
    booktests: str = "tests/booktests"
    """Directory of the test files that `envsolver generate` writes."""
    groups: Mapping[str, GroupSettings] = field(default_factory=dict)
    """The dependency sets by name. Every `requirements/*.in` is one too, unless it is named here."""
    services: Mapping[str, ServiceSettings] = field(default_factory=dict)
    """Servers that notebooks need, by name."""
    notebook: Mapping[str, NotebookSettings] = field(default_factory=dict)
    """Settings per notebook, by path or glob, such as `[tool.envsolver.notebook."demos/slow.ipynb"]`."""
    strategies: Mapping[str, StrategySettings] = field(default_factory=dict)
    """Settings for one occasion each, by name; `--strategy` chooses (see docs/how-to/strategies.md)."""
    strategy: str = ""
    """The strategy of runs that name none."""
    profiles: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Where jobs may run other than on this machine, by name; see docs/clusters.md."""

    root: Path = Path()
    """The project's root directory; not a key of the file."""
    source: str = ""
    """The file that the configuration was read from, relative to the root; empty when there is none."""


HIDDEN = frozenset({"root", "source"})
"""Fields of `Config` that are no keys of the file."""


def given(entry: NotebookSettings) -> dict[str, Any]:
    """Return what an entry sets about a notebook, by name; what a file leaves out is None here, or an empty table."""
    values = {each.name: getattr(entry, each.name) for each in fields(NotebookSettings)}
    return {name: value for name, value in values.items() if value is not None and value != {}}


def merged(entries: Iterable[NotebookSettings]) -> NotebookSettings:
    """Merge settings of one notebook: a later entry wins key by key, and tables such as `env` are merged."""
    together: dict[str, Any] = {}
    for entry in entries:
        for name, value in given(entry).items():
            together[name] = {**together.get(name, {}), **value} if isinstance(value, Mapping) else value
    return NotebookSettings(**together)
