"""Read requirements files as pip and uv do: comments, continuations, options, nested files, variables.

Each requirement keeps the file and the line where it was written. All faults of a group are reported together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.digests import digest
from envsolver.core.environments import Group
from envsolver.core.errors import ConfigurationError
from envsolver.core.notebooks import Origin, Requirement
from envsolver.core.parsing import (
    ODD_INPUT,
    MalformedError,
    decode_requirements,
    given_hashes,
    parse_requirement,
    phrase_of,
)
from envsolver.core.settings import Config, GroupSettings
from envsolver.environments.foreign import python_of
from envsolver.resolver.dependency_sets import declared_group, sets_of
from envsolver.resolver.requirement_text import BOUND, is_option, local_path, parse, project_digest

_SHOWN = 100
"""How many characters of a line a fault shows."""
_COMMENT = re.compile(r"(^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OPTION = re.compile(r"(-[a-zA-Z]|--[a-z][a-z-]*)(?:\s*=\s*|\s*)(.*)$")
_HASHES = re.compile(r"\s+--(hash|config-settings?|global-option|install-option)\b.*$")
_NESTED = {"-r": "requirement", "--requirement": "requirement", "-c": "constraint", "--constraint": "constraint"}


def group_file(config: Config, name: str) -> str:
    """Return the requirements file of a group, relative to the project's root."""
    return config.groups.get(name, GroupSettings()).requirements or f"requirements/{name}.in"


def read_group(config: Config, name: str) -> Group:
    """Read what a group asks for: its file and everything that it includes, or the project's own dependency sets.

    Raises
    ------
    ConfigurationError
        A file or set is missing, includes itself, or holds a line that is no requirement; lists every fault with its
        place.
    """
    settings = config.groups.get(name, GroupSettings())
    if settings.prefix:
        return _foreign_group(config, name, settings)
    sets = sets_of(settings)
    if sets is not None:
        return declared_group(config.root, name, sets, settings.requires_python)
    file = group_file(config, name)
    reader = _Reader(root=config.root)
    reader.read(file, kind="requirement", stack=(), asked=None)
    if reader.faults:
        raise ConfigurationError(reader.faults)
    return Group(
        name=name,
        file=file,
        requirements=tuple(reader.requirements),
        constraints=tuple(reader.constraints),
        requires_python=settings.requires_python,
        digest=digest(reader.material()),
        options=tuple(reader.options),
    )


def _foreign_group(config: Config, name: str, settings: GroupSettings) -> Group:
    """Return the group that is an environment which somebody else builds."""
    prefix = Path(os.path.normpath(config.root / Path(settings.prefix).expanduser()))
    python = python_of(prefix)
    if python is None or not (prefix / "bin" / "python").exists():
        fault = f"group {name}: its prefix {settings.prefix} holds no Python: build the environment first"
        raise ConfigurationError([fault])
    bounds = ",".join(filter(None, (settings.requires_python, f"=={python}.*")))
    return Group(name=name, file="", requires_python=bounds, digest=digest([str(prefix)]), prefix=str(prefix))


def read_groups(config: Config) -> dict[str, Group]:
    """Read all groups' requirement files.

    Without any configuration there are none: a project that never heard of envsolver may keep other things than
    notebooks' requirements in files of that name.

    Raises
    ------
    ConfigurationError
        With the faults of all files together.
    """
    groups: dict[str, Group] = {}
    faults: list[str] = []
    for name in config.groups if config.source else ():
        try:
            groups[name] = read_group(config, name)
        except ConfigurationError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigurationError(tuple(dict.fromkeys(faults)))
    return groups


def check_group_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Check that each name that ``--group`` was followed by is a group's.

    Raises
    ------
    ConfigurationError
        With every name that is none.
    """
    groups = sorted(known)
    have = ", ".join(groups) or "none"
    faults = [f"--group {name}: there is no such group; the groups are: {have}" for name in names if name not in groups]
    if faults:
        raise ConfigurationError(faults)


def derive_group(
    name: str,
    requirements: Iterable[Requirement],
    *,
    root: Path,
    constraints: Iterable[Requirement] = (),
    options: Iterable[str] = (),
    requires_python: str | None = None,
) -> Group:
    """Return a group that has no file, from requirements written elsewhere.

    Its digest, and so its lock and its environment, depends on what it asks for, and neither on the order
    nor on the places.

    Parameters
    ----------
    requirements
        Those that begin with `BOUND` are constraints, those that begin with two dashes options.
    """
    items = tuple(requirements)
    asked = tuple(r for r in items if not r.text.startswith(BOUND) and not is_option(r.text))
    more = (replace(r, text=r.text.removeprefix(BOUND)) for r in items if r.text.startswith(BOUND))
    bounds = (*constraints, *more)
    given = (*options, *sorted({r.text for r in items if is_option(r.text)}))
    texts = sorted({r.text for r in asked})
    paths = {path for text in texts if (path := local_path(text)) is not None}
    material = [*texts, "", *sorted({r.text for r in bounds}), "", *given]
    local = [f"{path}\0{project_digest(root / path)}" for path in sorted(paths) if (root / path).exists()]
    return Group(
        name=name,
        file="",
        requirements=asked,
        constraints=bounds,
        requires_python=requires_python,
        digest=digest([*material, "", *local]),
        options=given,
    )


def canonical(text: str) -> str:
    """Return a requirement's text in one form: normalised name, sorted extras and bounds; a path as it is."""
    bound = BOUND if text.startswith(BOUND) else ""
    parsed = parse(text.removeprefix(BOUND))
    if parsed is None:
        return " ".join(text.split())
    parsed.name = canonicalize_name(parsed.name)
    return f"{bound}{parsed}"


@dataclass(kw_only=True)
class _Reader:
    """Collects requirements, constraints and faults over a file and its nested files."""

    root: Path
    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    locals: dict[str, str] = field(default_factory=dict)

    def material(self) -> list[str]:
        """Return all text that a solve depends on."""
        files = [f"{path}\0{text}" for path, text in sorted(self.texts.items())]
        return files + [f"{path}\0{made}" for path, made in sorted(self.locals.items())]

    def read(self, file: str, *, kind: str, stack: tuple[str, ...], asked: Origin | None) -> None:
        """Read one file; `asked` is the line that names it, `stack` the files that lead to it."""
        place = f"{asked}: " if asked else ""
        if file in stack:
            chain = " -> ".join([*stack[stack.index(file) :], file])
            self.faults.append(f"{place}the file includes itself ({chain})")
            return
        try:
            text = decode_requirements((self.root / file).read_bytes())
        except FileNotFoundError:
            self.faults.append(f"{place}there is no file {file}")
            return
        except ODD_INPUT as error:
            self.faults.append(f"{place}{file}: {error if isinstance(error, MalformedError) else phrase_of(error)}")
            return
        seen = file in self.texts
        self.texts[file] = text
        if seen and kind == "requirement":
            return
        for number, line in logical_lines(text):
            self._line(line, Origin(path=file, line=number), kind=kind, stack=(*stack, file))

    def _line(self, line: str, origin: Origin, *, kind: str, stack: tuple[str, ...]) -> None:
        line = expand(line, os.environ)
        option = _OPTION.match(line) if line.startswith("-") else None
        if option is None:
            self._requirement(line, origin, kind=kind)
            return
        name, value = option[1], option[2].strip()
        if name in _NESTED:
            self._nested(name, value, origin, kind=kind, stack=stack)
        elif name in {"-e", "--editable"}:
            self._requirement(f"-e {value}", origin, kind=kind)
        else:
            # uv reads the option itself, or says that it does not know it.
            self.options.append(line)

    def _nested(self, name: str, value: str, origin: Origin, *, kind: str, stack: tuple[str, ...]) -> None:
        value = value.strip("\"'")
        if not value:
            self.faults.append(f"{origin}: {name} needs a file")
        elif "://" in value:
            # uv fetches it.
            self.options.append(f"{name} {value}")
        else:
            inner = "constraint" if kind == "constraint" else _NESTED[name]
            nested = os.path.normpath(os.path.join(os.path.dirname(origin.path), value))  # noqa: PTH118, PTH120 text only
            self.read(nested.replace(os.sep, "/"), kind=inner, stack=stack, asked=origin)

    def _requirement(self, line: str, origin: Origin, *, kind: str) -> None:
        text = _HASHES.sub("", line).strip()
        path = local_path(text)
        if path is not None:
            self._local(path, origin)
        elif "://" not in text.split(" @ ")[0]:
            try:
                parse_requirement(text)
            except MalformedError as error:
                shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
                self.faults.append(f"{origin}: {shown!r} is not a valid requirement: {error}")
                return
        kept = self.constraints if kind == "constraint" else self.requirements
        kept.append(Requirement(text=text, origin=origin, hashes=given_hashes(line)))

    def _local(self, path: str, origin: Origin) -> None:
        # Like pip and uv: a path in a requirements file is relative to where the command runs, the root.
        place = self.root / Path(path).expanduser()
        if place.exists():
            self.locals[path] = project_digest(place)
        else:
            self.faults.append(f"{origin}: there is no {path}")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that says something, with the number that it starts at: continued lines joined, comments cut."""
    start, joined = 0, ""
    for number, raw in enumerate(text.splitlines(), start=1):
        start = start if joined else number
        comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not comment:
            joined += raw[:-1] + " "
            continue
        line = _COMMENT.sub("", f"{joined} {raw}" if comment else joined + raw)
        joined = ""
        if line.strip():
            yield start, line.strip()
    if joined.strip():
        yield start, _COMMENT.sub("", joined).strip()


def expand(line: str, environ: Mapping[str, str]) -> str:
    """Put in the environment variables that a line names as ``${NAME}``; unknown ones stay."""
    return _VARIABLE.sub(lambda found: environ.get(found[1]) or found[0], line)
