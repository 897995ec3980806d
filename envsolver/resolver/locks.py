"""Solve a group for one interpreter, and remember the answer by the content of everything that it depends on."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.digests import digest
from envsolver.core.environments import Group, Interpreter, Lock, Package
from envsolver.core.errors import BuildError, UnsolvableError
from envsolver.core.files import read_json, write_json
from envsolver.core.notebooks import Requirement
from envsolver.core.parsing import parse_json
from envsolver.core.projects import project_name
from envsolver.environments.uv import Uv
from envsolver.environments.uv_output import Answer, network_error
from envsolver.resolver.hashes import with_given_hashes
from envsolver.resolver.local_projects import LocalProjects, stand_in
from envsolver.resolver.project_metadata import needs_no_build
from envsolver.resolver.requirement_text import address_of, content_digest, local_path, requirement_name
from envsolver.resolver.solve_options import EARLY, SolveOptions, early_releases, kept, own_sets

KERNEL = "ipykernel"
"""What every environment holds beside what its group asks for: the kernel that runs its notebooks."""

NOT_BUILT = "unknown without a build"
"""How the explanation of a solve begins that was not made, since something would have had to be built, and so run."""

OUT_OF_REACH = "out of reach, or the network is switched off"
"""What is said of an address that one requirement names."""

REFUSAL_SECONDS = 3600.0
"""How long it stays remembered that there is no solution: a newer release, or a wheel put in place, may bring one."""

_OLDEST_KERNEL = f"{KERNEL}>=6.29.5"
"""What is asked for where a strategy prefers old versions, whose kernels this is too new for."""
_NESTED = ("-r", "-c", "--requirement", "--constraint")
_FORMAT = "4"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==\s*([^\s;\\]+)|@\s*(\S+))")
_LONG = {"-i": "--index-url", "-f": "--find-links"}
_SOURCE = re.compile(
    r"(-[if]|--(?:(?:extra-)?index-url|find-links|no-index|no-binary|only-binary))(?:\s*=\s*|\s*)(.*)$"
)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class SolveOutcome:
    """What a solve gave."""

    text: str | None
    """The lock's text, or None when there is no solution."""
    explanation: str = ""
    """uv's words when there is none."""
    proved: bool = True
    """False when uv could not know, because a package could not be built, or its address not be reached."""
    lasting: bool = True
    """Whether the answer is worth remembering."""
    time: float = field(default_factory=time.time)

    @property
    def still_stands(self) -> bool:
        """Whether a later run need not ask again that there is no solution; it does after `REFUSAL_SECONDS`.

        That a build failed stands for no other run: what it lacked may have been put in place meanwhile.
        """
        known = self.proved or self.explanation.startswith(NOT_BUILT)
        return known and time.time() - self.time < REFUSAL_SECONDS


def solve_group(
    group: Group,
    interpreter: Interpreter,
    *,
    uv: Uv,
    cache: Path | None,
    terms: SolveOptions | None = None,
    upgrade: bool = False,
) -> Lock:
    """Solve a group, with the kernel added, for one interpreter.

    The same question gets the remembered answer and asks uv nothing, so versions stay until the question
    changes or `upgrade` is set.

    Parameters
    ----------
    cache
        Directory of the remembered answers; None remembers nothing.
    terms
        What else the solve is asked; None for nothing.
    upgrade
        Ask uv even if the answer is known.

    Raises
    ------
    UnsolvableError
        There is no solution; uv's explanation, and the places of the requirements that meet in it.
    BuildError
        The network is out of reach, or a package's own build failed.
    """
    terms = terms or SolveOptions()
    outcome = solve(group, interpreter, uv=uv, cache=cache, terms=terms, upgrade=upgrade)
    group = terms.asked(group)
    if outcome.text is not None:
        return lock_of(group, interpreter, outcome.text, uv.root)
    if outcome.explanation.startswith(NOT_BUILT):
        raise BuildError(f"group {group.name}: {outcome.explanation}")
    if outcome.proved:
        raise unsolvable(group, interpreter, outcome.explanation, uv.root)
    raise BuildError(
        f"group {group.name} could not be solved for Python {interpreter.version}:\n{outcome.explanation}",
        tip=f"See {group.place}." if group.place else "",
    )


def solve(
    group: Group,
    interpreter: Interpreter,
    *,
    uv: Uv,
    cache: Path | None,
    terms: SolveOptions,
    upgrade: bool = False,
    recall_refusals: bool = False,
) -> SolveOutcome:
    """Return what uv answers, or has answered, to a group.

    Parameters
    ----------
    recall_refusals
        Whether the remembered answer that there is no solution counts while it still stands.

    Raises
    ------
    BuildError
        The network is out of reach.
    """
    memory = _memory(group, interpreter, uv, cache, terms)
    if not terms.build and not upgrade:
        # What a solve with builds found is what there is to know.
        built = _recall(_memory(group, interpreter, uv, cache, replace(terms, build=True)))
        if built is not None and built.text is not None:
            return built
    known = None if upgrade else _recall(memory)
    if known is not None and (known.text is not None or (recall_refusals and known.still_stands)):
        return known
    try:
        outcome = _ask(group, interpreter, uv, terms, upgrade=upgrade)
    except BuildError:
        if known is None or not recall_refusals:
            raise
        # Without a network, an old refusal is the best that is known.
        return known
    _remember(memory, outcome)
    return outcome


def lock_of(group: Group, interpreter: Interpreter, text: str, root: Path) -> Lock:
    """Return the lock that holds what uv answered to a group, and where the packages come from."""
    checked = with_given_hashes(text, group.requirements)
    return make_lock(group.name, interpreter, _sources(group, root) + absolute(checked, root))


def _sources(group: Group, root: Path) -> str:
    """Return the lines of a group that say where packages come from; what is installed comes from there too."""
    lines = []
    for line in group.options:
        found = _SOURCE.match(line)
        if found is None:
            continue
        name, value = _LONG.get(found[1], found[1]), found[2].strip("\"'")
        if name == "--find-links" and "://" not in value:
            beside = root / Path(group.file).parent / value
            value = Path(os.path.normpath(beside if beside.exists() else root / value)).as_uri()
        lines.append(f"{name} {value}".strip() + "\n")
    return "".join(lines)


def make_lock(group: str, interpreter: Interpreter, text: str) -> Lock:
    """Return the lock that holds `text`, its packages read from it."""
    return Lock(group=group, interpreter=interpreter, text=text, packages=read_packages(text))


def read_packages(text: str) -> tuple[Package, ...]:
    """Return what a lock's text pins, sorted by name; a local project's version is the path that it comes from."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith((" ", "\t", "#", "--")):
            continue
        package = _package(line)
        if package is not None:
            found[package.name] = package
    return tuple(found[name] for name in sorted(found))


def places(explanation: str, requirements: Iterable[Requirement], root: Path) -> tuple[Requirement, ...]:
    """Return those of `requirements` that an explanation of uv speaks of, in the order of their places."""
    words = {str(canonicalize_name(word)) for word in _NAME.findall(explanation)}
    return tuple(r for r in requirements if requirement_name(root, r.text) in words)


def unsolvable(group: Group, interpreter: Interpreter, explanation: str, root: Path) -> UnsolvableError:
    """Return the error for a group that has no solution: the lines that meet, then uv's words."""
    lines = [f"group {group.name} cannot be solved for Python {interpreter.version}."]
    met = places(explanation, (*group.requirements, *group.constraints), root)
    if met:
        lines += ["These lines meet in it:", *(f"  {r.origin}: {r.text}" for r in met), "uv says:"]
    lines.append(explanation)
    return UnsolvableError("\n".join(lines), tip="Change one of these lines, or put the notebooks in two groups.")


def absolute(text: str, root: Path) -> str:
    """Make the local projects in a lock's text absolute, each with a digest of what it is built from.

    The text alone then says what an environment holds, wherever it is used from.
    """
    lines = []
    within = False
    for line in text.splitlines():
        if within and line.startswith((" ", "\t")):
            continue  # uv's hashes of a local archive, which the digest holds too
        bare = line.removesuffix("\\").rstrip()
        path = None if line.startswith((" ", "#", "--")) or _is_plain(line) else local_path(bare)
        within = path is not None
        if path is None:
            lines.append(line)
            continue
        place = Path(os.path.normpath(root / Path(path).expanduser()))
        editable = line.startswith("-e")
        # uv reads a number sign in an address only behind a name.
        name = requirement_name(root, bare) if "#" in str(place) else None
        mark = "-e " * editable + (f"{name} @ " if name else "")
        lines += [f"{mark}{place.as_uri()}", f"    # {content_digest(place, editable=editable)}"]
    return "\n".join(lines) + "\n"


def _ask(group: Group, interpreter: Interpreter, uv: Uv, terms: SolveOptions, *, upgrade: bool) -> SolveOutcome:
    early = [] if terms.prerelease else early_releases(group)
    options = [*terms.options, *early, *(["--upgrade"] if upgrade else [])]
    with tempfile.TemporaryDirectory(prefix="envsolver-") as folder:
        local = stand_in(group.requirements, uv.root, Path(folder) / "local", build=terms.build)
        unknown = () if terms.build else unbuilt(group, uv, local.lines)
        if unknown:
            return SolveOutcome(text=None, explanation=not_built(unknown), proved=False)
        if local.overrides or not terms.build:
            # What stands in for a project cannot be put into a person's file.
            group = replace(group, file="")
        answer = uv.compile(
            [group.file] if group.file else [],
            python=interpreter.executable,
            text=_input(group, kernel_line(uv, options), local, terms),
            options=[*options, *own_sets(group), *_bounds(group, local, Path(folder)), *kept(terms, Path(folder))],
        )
    if answer.code != 0 and answer.no_network:
        address = _unreachable(group, answer)
        if address is None:
            raise network_error(answer)
        explanation = f"{address} is {OUT_OF_REACH}\n{answer.explanation}"
        return SolveOutcome(text=None, explanation=explanation, proved=False, lasting=False)
    if answer.needs_build and not terms.build:
        explanation = f"{not_built(answer.without_wheels)}\n{answer.explanation}"
        return SolveOutcome(text=None, explanation=explanation, proved=False)
    return _outcome(answer, local)


def _unreachable(group: Group, answer: Answer) -> str | None:
    """Return the address that a line of a group names and that could not be reached; None when it is another one."""
    named = [address_of(r.text) or "" for r in (*group.requirements, *group.constraints)]
    named += [option.rpartition(" ")[2] for option in group.options]
    addresses = [re.split(r"[#]|(?<=.)@[^/@]*$", each.removeprefix("git+"))[0] for each in named if "://" in each]
    return next((address for address in addresses if address in answer.err), None)


def unbuilt(group: Group, uv: Uv, known: Collection[str] = ()) -> tuple[str, ...]:
    """Return what uv could run code for while it solves a group, even if it may build no archive.

    Parameters
    ----------
    known
        Requirements for which uv gets something else, which says the same.
    """
    texts = [r.text for r in (*group.requirements, *group.constraints) if r.text not in known]
    # The project's own settings of uv may ask for more.
    for name, value in uv.settings().items():
        if name.startswith("project ") and name.endswith("dependencies"):
            found = parse_json(value)
            texts += [str(text) for text in found] if isinstance(found, list) else [value]
    nested = [option for option in group.options if option.startswith(_NESTED)]
    return (*(text for text in dict.fromkeys(texts) if not needs_no_build(text)), *nested)


def not_built(texts: Sequence[str]) -> str:
    """Say that a question is open, since nothing may be built."""
    what = f"what {', '.join(texts)} depends on" if texts else "what some packages depend on"
    return f"{NOT_BUILT}: only a build shows {what}, and that runs its code. Add --build to have it built"


def _outcome(answer: Answer, local: LocalProjects) -> SolveOutcome:
    if answer.code == 0:
        return SolveOutcome(text=local.restore(answer.out))
    return SolveOutcome(text=None, explanation=answer.explanation, proved=answer.unsolvable)


def kernel_line(uv: Uv, options: Sequence[str]) -> str:
    """Return the requirement for the kernel, given the arguments for uv and the user's settings of it."""
    chosen = [value for name, value in uv.settings().items() if name.lower().endswith("resolution")]
    return _OLDEST_KERNEL if any("lowest" in value for value in (*options, *chosen)) else KERNEL


def _input(group: Group, kernel: str, local: LocalProjects, terms: SolveOptions) -> str:
    """Return what uv reads beside the group's file: the kernel, and all of a group that has no file."""
    asked = sorted({local.lines.get(r.text, r.text) for r in group.requirements})
    derived = [] if group.file else [*(option for option in group.options if option != EARLY), *asked]
    sources = [f"--extra-index-url {url}" for url in terms.indexes]
    return "\n".join([*sources, *derived, *terms.more, kernel, ""])


def _bounds(group: Group, local: LocalProjects, folder: Path) -> list[str]:
    """Return the arguments for what uv only reads from files: a derived group's constraints, and overrides."""
    bounds = () if group.file else sorted({r.text for r in group.constraints})
    written = []
    for option, lines in (("--constraints", bounds), ("--overrides", local.overrides)):
        if lines:
            path = folder / f"{option[2:]}.txt"
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            written += [option, str(path)]
    # uv reads the user's own overrides only where no others are named.
    users = os.environ.get("UV_OVERRIDE", "").split() if local.overrides else []
    return [*written, *(argument for path in users for argument in ("--overrides", path))]


def _question(group: Group, interpreter: Interpreter, uv: Uv, terms: SolveOptions) -> str:
    # The texts beside the digest, because variables are put in only there.
    asked = sorted({r.text for r in (*group.requirements, *group.constraints)})
    python = [interpreter.version, interpreter.platform]
    settings = [f"{name}={value}" for name, value in uv.settings().items()]
    beside = [*terms.options, *terms.more, *terms.indexes, *terms.preferred]
    return digest([_FORMAT, group.digest, *asked, "", *python, *beside, "", *settings])


def _is_plain(line: str) -> bool:
    found = _PIN.match(line)
    return bool(found and found[2])


def _package(line: str) -> Package | None:
    found = _PIN.match(line)
    path = local_path(line)
    if found:
        return Package(name=str(canonicalize_name(found[1])), version=found[2] or path or found[3])
    name = None if path is None else project_name(Path(path))
    return None if name is None else Package(name=name, version=str(path))


def _memory(group: Group, interpreter: Interpreter, uv: Uv, cache: Path | None, terms: SolveOptions) -> Path | None:
    return None if cache is None else cache / "solves" / f"{_question(group, interpreter, uv, terms)[:32]}.json"


def _recall(memory: Path | None) -> SolveOutcome | None:
    if memory is None:
        return None
    try:
        return SolveOutcome(**read_json(memory))
    except TypeError:
        return None


def _remember(memory: Path | None, outcome: SolveOutcome) -> None:
    if memory is None or not outcome.lasting:
        return
    with contextlib.suppress(OSError):
        write_json(memory, asdict(outcome))
