"""Read requirements files as pip and uv do: comments, continuations, options, nested files, variables.

Each requirement keeps the file and the line where it was written. All faults of a group are reported together.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from envsolver.errors import ConfigurationError
from envsolver.models import Group, Origin, Requirement
from envsolver.settings import Config, GroupSettings
from envsolver.uv_settings import digest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_COMMENT = re.compile(r"(^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OPTION = re.compile(r"(-[a-zA-Z]|--[a-z][a-z-]*)(?:\s*=\s*|\s*)(.*)$")
_HASHES = re.compile(r"\s+--(hash|config-settings?|global-option|install-option)\b.*$")
_NESTED = {"-r": "requirement", "--requirement": "requirement", "-c": "constraint", "--constraint": "constraint"}
# Local projects' files that decide their dependencies and their entry points.
_METADATA = ("pyproject.toml", "setup.py", "setup.cfg")


def group_file(config: Config, name: str) -> str:
    """Return the requirements file of a group, relative to the project's root."""
    return config.groups.get(name, GroupSettings()).requirements or f"requirements/{name}.in"


def read_group(config: Config, name: str) -> Group:
    """Read a group's requirements file and everything that it includes.

    Raises
    ------
    ConfigurationError
        A file is missing, includes itself, or holds a line that is no requirement; lists every fault with its place.
    """
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
        requires_python=config.groups.get(name, GroupSettings()).requires_python,
        digest=digest(reader.material()),
    )


def parse(text: str) -> Parsed | None:
    """Return a requirement's text as `packaging` reads it, or None for a path, an address or nonsense."""
    try:
        return Parsed(text)
    except InvalidRequirement:
        return None


def local_path(text: str) -> str | None:
    """Return the path that a requirement such as ``-e .[extra]`` or ``./package`` names, or None."""
    bare = re.sub(r"^(-e|--editable)(\s+|=)", "", text)
    editable = bare != text
    if " @ " in bare:
        bare = bare.split(" @ ", 1)[1]
    bare = re.split(r"\s+;|\s+#", bare, maxsplit=1)[0].strip()
    if bare.startswith("file:"):
        return unquote(re.sub(r"^file:(//)?", "", bare))
    if "://" in bare or bare.startswith("git+"):
        return None
    bare = re.sub(r"\[[^\[\]]*\]$", "", bare)
    looks_local = bare.startswith((".", "/", "~")) or ("/" in bare and "@" not in bare) or bare.endswith(".whl")
    return bare if editable or looks_local else None


def project_name(directory: Path) -> str | None:
    """Return the normalised name of the Python project in `directory`, or None when it does not say one."""
    try:
        table = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        table = {}
    name = table.get("project", {}).get("name") or table.get("tool", {}).get("poetry", {}).get("name")
    if name is None:
        name = _setup_name(directory)
    return str(canonicalize_name(name)) if isinstance(name, str) else None


def requirement_name(root: Path, text: str) -> str | None:
    """Return the normalised name of the distribution that a requirement asks for, or None when that is unknown."""
    parsed = parse(text)
    if parsed is not None:
        return str(canonicalize_name(parsed.name))
    path = local_path(text)
    if path is not None and not path.endswith(".whl"):
        return project_name(root / path)
    stem = re.search(r"([A-Za-z0-9][A-Za-z0-9._]*)-\d[^/]*\.(?:whl|tar\.gz|zip)", text)
    egg = re.search(r"#egg=([A-Za-z0-9._-]+)", text)
    named = egg or stem
    return str(canonicalize_name(named[1])) if named else None


def project_digest(directory: Path, *, editable: bool) -> str:
    """Return the SHA-256 of what an installed local project, or a wheel or archive, depends on.

    An editable project shows its sources as they are, so only its metadata count; any other is a copy, so
    every file counts, by size and time.
    """
    if not directory.is_dir():
        return hashlib.sha256(directory.read_bytes()).hexdigest()
    parts = [f"{name}\0{_read(directory / name)}" for name in _METADATA]
    if not editable:
        for folder, folders, files in os.walk(directory):
            folders[:] = sorted(f for f in folders if not f.startswith((".", "__pycache__")))
            for file in sorted(files):
                status = (Path(folder) / file).lstat()
                parts.append(f"{folder}/{file}:{status.st_size}:{status.st_mtime_ns}")
    return digest(parts)


@dataclass(kw_only=True)
class _Reader:
    """Collects requirements, constraints and faults over a file and its nested files."""

    root: Path
    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
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
            text = (self.root / file).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            self.faults.append(f"{place}there is no file {file}")
            return
        except (OSError, UnicodeDecodeError) as error:
            self.faults.append(f"{place}{file} cannot be read: {error}")
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
            self.texts[f"{origin} {name}"] = value

    def _nested(self, name: str, value: str, origin: Origin, *, kind: str, stack: tuple[str, ...]) -> None:
        value = value.strip("\"'")
        if not value:
            self.faults.append(f"{origin}: {name} needs a file")
        elif "://" not in value:
            inner = "constraint" if kind == "constraint" else _NESTED[name]
            nested = os.path.normpath(os.path.join(os.path.dirname(origin.path), value))  # noqa: PTH118, PTH120 text only
            self.read(nested.replace(os.sep, "/"), kind=inner, stack=stack, asked=origin)

    def _requirement(self, line: str, origin: Origin, *, kind: str) -> None:
        text = _HASHES.sub("", line).strip()
        path = local_path(text)
        if path is not None:
            self._local(path, origin, editable=text.startswith("-e"))
        elif "://" not in text.split(" @ ")[0]:
            try:
                Parsed(text)
            except InvalidRequirement as error:
                self.faults.append(f"{origin}: {text!r} is not a valid requirement: {str(error).splitlines()[0]}")
                return
        kept = self.constraints if kind == "constraint" else self.requirements
        kept.append(Requirement(text=text, origin=origin))

    def _local(self, path: str, origin: Origin, *, editable: bool) -> None:
        # Like pip and uv: a path in a requirements file is relative to where the command runs, the root.
        place = Path(os.path.normpath(self.root / Path(path).expanduser()))
        if not place.exists():
            self.faults.append(f"{origin}: there is no {path}")
        else:
            self.locals[str(place)] = project_digest(place, editable=editable)


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line that says something, with the number that it starts at: continued lines joined, comments cut."""
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


def _setup_name(directory: Path) -> str | None:
    found = re.search(r"^\s*name\s*=\s*['\"]?([A-Za-z0-9._-]+)", _read(directory / "setup.cfg"), re.MULTILINE)
    found = found or re.search(r"\bname\s*=\s*['\"]([A-Za-z0-9._-]+)['\"]", _read(directory / "setup.py"))
    return found[1] if found else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
