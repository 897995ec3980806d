"""The configuration's types: what `[tool.envsolver]` may hold, once it has been validated.

Beside `models`, these are the only types that stages share. The docstring under each field is the
text of the reference table in the README and of the JSON schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ByteSize, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


class GroupSettings(_Settings):
    """`[tool.envsolver.groups.<name>]`: one dependency set."""

    requirements: str = ""
    """File with the group's requirements, relative to the project's root. Default: `requirements/<group>.in`."""
    notebooks: tuple[str, ...] = ()
    """Globs of the notebooks that belong to this group, which takes no others. Without it, imports decide."""
    cores: int = Field(default=1, ge=1)
    """CPU cores that one notebook of this group gets; its thread pools are told this number."""
    memory: ByteSize | None = None
    """Memory limit of one notebook's process tree, such as `"4GiB"`."""
    gpus: int = Field(default=0, ge=0)
    """GPUs that one notebook of this group needs."""
    services: tuple[str, ...] = ()
    """Names of the services that must run while notebooks of this group run."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Environment variables for this group's notebooks."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds for a whole notebook of this group."""
    requires_python: str | None = None
    """Versions of Python that the group supports, such as `">=3.11"`; on others its notebooks are skipped."""
    lock: bool = True
    """Whether `envsolver lock` writes a lock file for this group."""


class NotebookSettings(_Settings):
    """`[tool.envsolver.notebook."<path or glob>"]`: one notebook, or several."""

    group: str | None = None
    """The group that it runs in, whatever it imports."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds for the whole notebook."""
    cell_timeout: float | None = Field(default=None, gt=0)
    """Seconds for one cell."""
    cores: int | None = Field(default=None, ge=1)
    """CPU cores that it gets."""
    memory: ByteSize | None = None
    """Memory limit of its process tree."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Environment variables for it."""
    replace: Mapping[str, str] = Field(default_factory=dict)
    """Text to replace in its code cells, in the executed copy only."""
    skip_cells: tuple[str, ...] = ()
    """Code cells that hold one of these texts are not run."""
    stop_at: str | None = None
    """The first code cell that holds this text, and all after it, are not run."""
    parameters: Mapping[str, bool | int | float | str | None] = Field(default_factory=dict)
    """Values assigned right after the cell tagged `parameters`."""
    skip: str | None = Field(default=None, min_length=1)
    """The reason why it is not run at all."""
    requires_python: str | None = None
    """Versions of Python that it supports; on others it is skipped."""


class ServiceSettings(_Settings):
    """`[tool.envsolver.services.<name>]`: a server that notebooks need."""

    command: str = Field(min_length=1)
    """Command that starts it; `{port}` stands for a free port. `python` is the group's environment's."""
    ready: str | None = None
    """URL that answers below HTTP status 500 once it is ready. Without it, the port must accept a connection."""
    ready_timeout: float = Field(default=60.0, gt=0)
    """Seconds that it may take until it is ready."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Environment variables for the notebooks that use it; `{port}` stands for its port."""


class Config(_Settings):
    """`[tool.envsolver]`: everything about one project."""

    notebooks: tuple[str, ...] = ("**/*.ipynb",)
    """Globs of the notebooks to test, relative to the project's root."""
    exclude: tuple[str, ...] = ()
    """Globs of notebooks to leave out entirely."""
    python: tuple[str, ...] = ()
    """Python versions: the first is the default, all are the matrix. Default: the one envsolver runs on."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds for a whole notebook."""
    cell_timeout: float = Field(default=300.0, gt=0)
    """Seconds for one cell."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Environment variables for all notebooks. They see these, a short safe list, and `pass-env`; nothing else."""
    pass_env: tuple[str, ...] = ()
    """Names of environment variables to pass through to the notebooks; `*` at the end matches any rest."""
    output_limit: ByteSize = ByteSize(8 * 1024 * 1024)
    """Output kept per cell, such as `"8MiB"`; what is beyond is cut, and the cut is shown."""
    modules: Mapping[str, str] = Field(default_factory=dict)
    """Import names and the distributions that provide them, such as `{ sklearn = "scikit-learn" }`."""
    exclude_newer: str | None = None
    """Leave out packages published after this date (RFC 3339), for repeatable solves."""
    booktests: str = "tests/booktests"
    """Directory of the test files that `envsolver generate` writes."""
    groups: Mapping[str, GroupSettings] = Field(default_factory=dict)
    """The dependency sets by name. Every `requirements/*.in` is one too, unless it is named here."""
    services: Mapping[str, ServiceSettings] = Field(default_factory=dict)
    """Servers that notebooks need, by name."""
    notebook: Mapping[str, NotebookSettings] = Field(default_factory=dict)
    """Settings per notebook, by path or glob, such as `[tool.envsolver.notebook."demos/slow.ipynb"]`."""

    root: Path = Field(default=Path(), exclude=True)
    """The project's root directory; not a key of the file."""
    source: str = Field(default="", exclude=True)
    """The file that the configuration was read from, relative to the root; empty when there is none."""
