"""Which of the packages that differ between two environments has most likely broken a notebook.

The error's own words come first, with the class or the function that they are about, then the code that it passed
through, then what the notebook itself says: where the values on the line that raised came from, what the cell and the
notebook use, and what that depends on.
"""

from __future__ import annotations

import ast
import builtins
import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envsolver.core.environments import Environment
from envsolver.core.parsing import ODD_INPUT, parse_json, read_text
from envsolver.core.results import Result, Run
from envsolver.notebooks.distributions import distributions_for
from envsolver.report.formatting import strip_ansi
from envsolver.report.run_files import file_in, read_log_tail
from envsolver.report.tracebacks import fault_line
from envsolver.resolver.declared import names_alike

_FRAME = re.compile(r"(?:site|dist)-packages[/\\]([A-Za-z0-9_]+)")
_NAMED = re.compile(r"""["'`]([A-Za-z_][\w.-]*)["'`]|\b([A-Za-z_]\w*)\.[A-Za-z_]""")
_ABOUT = re.compile(r"""["']([\w.]+)["'] object|([A-Za-z_][\w.]*)\(\) (?:got|takes|missing)""")
"""The class, or the function, that an error of Python's own is about."""
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_MAGIC = re.compile(r"^\s*[%!?].*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A package that differs between two environments; a version is None where the package is not there."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Return it as people write it, such as ``numpy 1.26.4 -> 2.4.0``."""
        return f"{self.name} {self.before or '(none)'} -> {self.after or '(none)'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A package that may have broken a notebook, and what speaks for that."""

    change: Change
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clues:
    """What speaks for packages, the strongest first; each holds their names."""

    named: frozenset[str] = frozenset()
    defines: frozenset[str] = frozenset()
    """Those that define the class or the function that the error is about."""
    passed: Mapping[str, int] = field(default_factory=dict)
    """How far from the raised error's own frame, 0 for that itself."""
    below: frozenset[str] = frozenset()
    """What the packages that it passed through depend on."""
    line: Mapping[str, int] = field(default_factory=dict)
    """How many assignments before the line that raised, 0 for that itself."""
    mentioned: frozenset[str] = frozenset()
    cell: frozenset[str] = frozenset()
    notebook: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    """What these depend on."""

    def of(self, change: Change) -> tuple[tuple[float, ...], str]:
        """Return how little speaks for a package, and the strongest clue as a phrase."""
        name = change.name
        depth, distance = self.passed.get(name), self.line.get(name)
        clues = (
            (name in self.named, "the error names it"),
            (name in self.defines, "the error is about what it defines"),
            (depth is not None, "its code raised the error" if depth == 0 else "the error passed through it"),
            (name in self.below, "what the error passed through needs it"),
            (distance is not None, "the line that raised uses it"),
            (name in self.mentioned, "the error's text holds its name"),
            (name in self.cell, "the cell that failed uses it"),
            (name in self.notebook, "the notebook imports it"),
            (name in self.needed, "what the notebook uses needs it"),
        )
        why = next((phrase for holds, phrase in clues if holds), "it differs")
        found = [0.0 if holds else 1.0 for holds, _ in clues]
        found[2] = 1.0 if depth is None else depth / (len(self.passed) + 1)
        found[4] = 1.0 if distance is None else distance / (max(self.line.values()) + 1)
        return (*found, -_step(change)), why


class Distributions:
    """Which distribution provides a module, by what is installed where that is still there, else by name."""

    def __init__(self, environments: Iterable[Environment | None]) -> None:
        self._providers: dict[str, set[str]] = {}
        self._needs: dict[str, set[str]] = {}
        self._sources: dict[str, list[Path]] = {}
        for environment in environments:
            if environment is not None:
                self._read(environment)

    def _read(self, environment: Environment) -> None:
        folders = [str(folder) for folder in environment.prefix.glob("lib/python*/site-packages")]
        for found in importlib.metadata.distributions(path=folders):
            name = found.metadata["Name"]
            if not name:
                continue
            key = str(canonicalize_name(name))
            tops = {str(file).replace("\\", "/").split("/")[0].split(".")[0] for file in found.files or ()}
            modules = (file for file in found.files or () if file.suffix in {".py", ".pyi"})
            self._sources.setdefault(key, []).extend(Path(str(found.locate_file(file))) for file in modules)
            for top in tops:
                self._providers.setdefault(top, set()).add(key)
            self._needs.setdefault(key, set()).update(_required(found.requires or ()))

    def of(self, module: str) -> frozenset[str]:
        """Return the distributions that may provide a module."""
        installed = self._providers.get(module.split(".", maxsplit=1)[0])
        if installed:
            return frozenset(installed)
        known = (re.split(r"[^A-Za-z0-9._-]", text)[0] for text in distributions_for(module, {}))
        return frozenset(str(canonicalize_name(name)) for name in (*known, *names_alike(module)))

    def all_of(self, modules: Iterable[str]) -> frozenset[str]:
        """Return the distributions that may provide one of some modules."""
        return frozenset().union(*map(self.of, modules))

    def defining(self, name: str, among: Iterable[str]) -> frozenset[str]:
        """Return those of some distributions in whose modules a class or a function of a name is defined."""
        definition = re.compile(rf"^[ \t]*(?:class|def|async def)[ \t]+{re.escape(name)}\b".encode(), re.MULTILINE)
        return frozenset(
            key for key in among if any(definition.search(_bytes(file)) for file in self._sources.get(key, ()))
        )

    def needed(self, names: Iterable[str]) -> frozenset[str]:
        """Return all that some distributions depend on."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            more = self._needs.get(waiting.pop(), set()) - found
            found |= more
            waiting += more
        return frozenset(found)


def changes(before: Environment | None, after: Environment | None) -> tuple[Change, ...]:
    """Return which packages differ between two environments, by name; local projects count as the same anywhere."""
    one, two = (
        {p.name: p.version for p in (environment.packages if environment else ())} for environment in (before, after)
    )
    differing = (name for name in sorted(one.keys() | two.keys()) if one.get(name) != two.get(name))
    found = (Change(name=name, before=one.get(name), after=two.get(name)) for name in differing)
    return tuple(c for c in found if not ("/" in (c.before or "") and "/" in (c.after or "")))


def suspects(run: Run, result: Result, differing: Sequence[Change], distributions: Distributions) -> list[Suspect]:
    """Return the packages that differ, the likeliest to have broken a notebook first."""
    clues = _clues(run, result, distributions, [change.name for change in differing])
    judged = sorted((*clues.of(change), change.name, change) for change in differing)
    return [Suspect(change=change, why=why) for _, why, _, change in judged]


def _clues(run: Run, result: Result, distributions: Distributions, differing: Sequence[str]) -> _Clues:
    failure = result.failure
    said = f"{failure.ename}: {failure.evalue}" if failure else result.reason
    traceback = strip_ansi(failure.traceback) if failure and failure.traceback else read_log_tail(run, result)
    source = failure.source if failure else ""
    origins = value_origins(_cells(run, result))
    frames = [module for module in reversed(_FRAME.findall(traceback)) if module != "IPython"]
    passed: dict[str, int] = {}
    for depth, module in enumerate(dict.fromkeys(frames)):
        for name in distributions.of(module):
            passed.setdefault(name, depth)
    number = fault_line(traceback)
    lines = source.splitlines()
    line = lines[number - 1] if number and number <= len(lines) else source
    named = distributions.all_of(one or two for one, two in _NAMED.findall(said))
    used: dict[str, int] = {}
    for module, distance in sorted(_modules(line, origins).items(), key=lambda item: item[1]):
        for name in distributions.of(module):
            used.setdefault(name, distance)
    everything = distributions.all_of(module for modules in origins.values() for module in modules)
    return _Clues(
        named=named,
        defines=distributions.defining(about, differing) if (about := _about(said)) else frozenset(),
        passed=passed,
        below=distributions.needed(passed),
        line=used,
        mentioned=frozenset(str(canonicalize_name(word)) for word in _WORD.findall(said)),
        cell=distributions.all_of(_modules(source, origins)),
        notebook=everything,
        needed=distributions.needed(everything),
    )


def _about(said: str) -> str:
    """Return the name of the class or the function that an error is about; empty for none, and for Python's own."""
    found = _ABOUT.search(said)
    parts = (found[1] or found[2]).split(".") if found else [""]
    name = parts[-2] if parts[-1] == "__init__" and len(parts) > 1 else parts[-1]
    return "" if hasattr(builtins, name) or name.startswith("__") else name


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


_Origins = Mapping[str, Mapping[str, int]]


def value_origins(cells: Iterable[str]) -> dict[str, Mapping[str, int]]:
    """Return from which modules each variable of a notebook comes, and through how many assignments."""
    origins: dict[str, Mapping[str, int]] = {}
    for cell in cells:
        try:
            tree = ast.parse(_MAGIC.sub("pass", cell))
        except ODD_INPUT:
            continue
        for node in ast.walk(tree):
            origins.update(_bound(node, origins))
    return origins


def _bound(node: ast.AST, origins: _Origins) -> dict[str, Mapping[str, int]]:
    """Return the variables that a statement binds, with the modules that they come from."""
    if isinstance(node, ast.Import):
        names = [(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names]
        return {name: {module.split(".")[0]: 0} for name, module in names}
    if isinstance(node, ast.ImportFrom):
        top = {(node.module or "").split(".")[0]: 0} if not node.level else {}
        return {alias.asname or alias.name: top for alias in node.names}
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name: _one_further(_modules(ast.unparse(node), origins))}
    targets: list[ast.expr] = []
    value: ast.expr | None = None
    if isinstance(node, ast.Assign):
        targets, value = node.targets, node.value
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
        targets, value = [node.target], node.value
    elif isinstance(node, ast.For):
        targets, value = [node.target], node.iter
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        targets, value = [node.optional_vars], node.context_expr
    if value is None:
        return {}
    modules = _one_further(_modules(ast.unparse(value), origins))
    return {n.id: modules for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def _one_further(modules: Mapping[str, int]) -> dict[str, int]:
    return {module: distance + 1 for module, distance in modules.items()}


def _modules(text: str, origins: _Origins) -> dict[str, int]:
    """Return the modules from which what a piece of code uses comes, and how far; an import in it counts itself."""
    found = dict.fromkeys(re.findall(r"(?m)^\s*(?:from|import)\s+([A-Za-z_]\w*)", text), 0)
    for name in _NAME.findall(text):
        for module, distance in origins.get(name, {}).items():
            found[module] = min(distance, found.get(module, distance))
    return found


def _cells(run: Run, result: Result) -> Iterator[str]:
    """Yield the code cells of a notebook as executed; none when the copy is gone."""
    path = file_in(run, result.executed)
    try:
        cells = parse_json(read_text(path))["cells"] if path else []
        for cell in cells:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])
    except (*ODD_INPUT, KeyError, TypeError):
        return


def _required(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or "extra" not in str(requirement.marker):
            yield str(canonicalize_name(requirement.name))


def _step(change: Change) -> float:
    """Return how large a step a change is: 4 for a package that is gone, 3 for a new major version, and so on down."""
    if change.after is None:
        return 4
    try:
        old, new = Version(change.before or ""), Version(change.after)
    except InvalidVersion:
        return 0.5
    pairs = zip((*old.release, 0, 0)[:3], (*new.release, 0, 0)[:3], strict=True)
    return next((3.0 - position for position, (one, two) in enumerate(pairs) if one != two), 0.7)
