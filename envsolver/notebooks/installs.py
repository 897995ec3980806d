"""Read the requirements out of a notebook's install commands.

What pip and uv are asked to install binds, and so do the bounds and the sources of packages that they are given.
conda's names are another ecosystem's, so they bind nothing; nor does what stands behind a condition. What cannot be
had, and values only known at run time, are refused, each with its reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.dependency_groups import DependencyGroupResolver

from envsolver.core.folders import METADATA_FILES
from envsolver.core.notebooks import Origin, Requirement
from envsolver.core.parsing import (
    ODD_INPUT,
    MalformedError,
    decode_requirements,
    given_hashes,
    parse_requirement,
    parse_toml,
    phrase_of,
    table_of,
)
from envsolver.notebooks.findings import Command
from envsolver.notebooks.install_options import InstallTarget, read_arguments, takes_value
from envsolver.notebooks.shell import SimpleCommand, simple_commands
from envsolver.notebooks.walk import shown_name

_CONDA_VALUED = frozenset({"-c", "--channel", "-n", "--name", "-p", "--prefix", "--file", "--revision", "--solver"})
_PIP = re.compile(r"(?:\S*/)?pip(?:3(?:\.\d+)?)?")
_PYTHON = re.compile(r"(?:\S*/)?python(?:3(?:\.\d+)?)?|\{.*\}|\$\S+|py")
_CONDA = frozenset({"conda", "mamba", "micromamba"})
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar(?:\.\w+)?|tgz|egg)$", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:(?:git|hg|svn|bzr)\+)?[a-z][a-z0-9+.-]*://|(?:git|hg|svn|bzr)\+", re.IGNORECASE)
_FETCHED = re.compile(r"(?:git\+(?:https?|ssh|git|file)|https?|file)://", re.IGNORECASE)
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9][\w.-]*)(\[[^\]]*\])?")
_VALUE = re.compile(r"\{[^{}]*\}|\$\w|\$\{|\$\(|`")
_UNKNOWN_VALUE = "it holds a value that is only known when the notebook runs"
_OUTSIDE = "it lies outside of the project"
_NOT_HERE = "it is an address; put the file in the project"
_PYPROJECT = "pyproject.toml"
_CONDA_NAME = re.compile(r"(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)(?:[=<>!].*)?")


@dataclass(kw_only=True, slots=True)
class InstallRequests:
    """What the install lines of a notebook come to; see the fields of `Notebook` with these names."""

    installs: list[Requirement] = field(default_factory=list)
    guarded: list[Requirement] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class InstallReader:
    """Collects what the commands of one notebook install.

    Parameters
    ----------
    root
        The project's root, absolute and resolved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.result = InstallRequests()
        self.files: set[Path] = set()

    def read(self, command: Command, origin: Origin) -> None:
        """Take one command in; `origin` is where its text begins."""
        folder = Path(command.cwd)
        for simple in simple_commands(command.text):
            if simple.words[:1] in {("cd",), ("pushd",)} and len(simple.words) == 2:  # noqa: PLR2004  # and where to
                folder /= simple.words[1]
            line = None if origin.line is None else origin.line + simple.line
            place = Origin(path=origin.path, cell=origin.cell, line=line)
            guarded = command.guarded or simple.guarded
            self._simple(simple, place, folder, guarded=guarded)

    def _simple(self, simple: SimpleCommand, place: Origin, folder: Path, *, guarded: bool) -> None:
        """Take one simple command in, if it installs anything."""
        words = list(simple.words)
        if words and words[0] in _CONDA:
            self._conda(words[1:], place)
            return
        arguments = _pip_arguments(words)
        if arguments is None:
            return
        for target, where, beside in self._with_files(read_arguments(arguments), place, folder, guarded=guarded):
            self._target(target, where, beside, guarded=guarded)

    def _with_files(
        self, targets: Iterable[InstallTarget], place: Origin, folder: Path, *, guarded: bool, bounds: bool = False
    ) -> Iterator[tuple[InstallTarget, Origin, Path]]:
        """Yield what a command asks for, and what the files that it names do, each with its place and its folder."""
        for target in targets:
            if target.kind == "group":
                yield from (
                    (asked, place, folder) for asked in self._group(target.text, place, folder, guarded=guarded)
                )
                continue
            if target.kind not in {"file", "bounds"}:
                bound = bounds and target.kind == "name"
                yield (replace(target, kind="bound") if bound else target), place, folder
                continue
            path = (folder / target.text).resolve()
            text = self._text(target.text, path) if path not in self.files else ""
            if isinstance(text, _Refusal):
                self._refuse(target.text, text, place, guarded=guarded)
                continue
            self.files.add(path)
            shown = shown_name(path.relative_to(self.root).as_posix())
            inner = bounds or target.kind == "bounds"
            for number, line in _requirement_lines(text):
                where = Origin(path=shown, line=number)
                yield from self._with_files(_of_line(line), where, path.parent, guarded=guarded, bounds=inner)

    def _group(self, text: str, place: Origin, folder: Path, *, guarded: bool) -> list[InstallTarget]:
        """Return what a dependency group asks for that is named as pip reads it: ``[path:]name``."""
        file, _, name = text.rpartition(":")
        content = self._text(file or _PYPROJECT, (folder / (file or _PYPROJECT)).resolve())
        if not isinstance(content, _Refusal):
            try:
                groups = table_of(parse_toml(content), "dependency-groups")
                return [InstallTarget(kind="name", text=str(r)) for r in DependencyGroupResolver(groups).resolve(name)]
            except Exception as error:  # noqa: BLE001  groups of exceptions too, of which packaging says only the text
                cause = getattr(error, "exceptions", (error,))[0]
                content = _Refusal(f"{file or _PYPROJECT} does not give that dependency group ({phrase_of(cause)})")
        self._refuse(f"--group {file or _PYPROJECT}:{name}", content, place, guarded=guarded)
        return []

    def _conda(self, words: list[str], place: Origin) -> None:
        """Take plain names of a conda command in as guarded."""
        if words[:1] != ["install"]:
            return
        skip = False
        for word in words[1:]:
            if not skip and not word.startswith("-") and (name := _CONDA_NAME.fullmatch(word)):
                self.result.guarded.append(Requirement(text=name[1], origin=place))
            skip = not skip and word in _CONDA_VALUED

    def _target(self, target: InstallTarget, place: Origin, folder: Path, *, guarded: bool) -> None:
        """Take in one thing that is asked for."""
        text = target.text.strip()
        reason: _Refusal | None
        if target.kind == "refused":
            reason = _Refusal(target.text)
            text = target.option
        elif _VALUE.search(text):
            reason = _Refusal(_UNKNOWN_VALUE)
        elif target.kind == "line":
            reason = self._line(target.option, text, place, folder, guarded=guarded)
        elif target.kind == "bound":
            reason = self._bound(text, place, guarded=guarded)
        elif _ADDRESS.search(text):
            reason = self._address(text, place, guarded=guarded)
        elif _ARCHIVE.search(text.split(";")[0].strip()):
            reason = self._archive(text, place, folder, guarded=guarded)
        elif target.kind == "directory" or _looks_like_path(text):
            reason = self._directory(text, place, folder, guarded=guarded)
        else:
            reason = self._named(text, place, guarded=guarded, hashes=target.hashes)
        if reason:
            self._refuse(text, reason, place, guarded=guarded)

    def _refuse(self, text: str, reason: _Refusal, place: Origin, *, guarded: bool) -> None:
        # What a condition leaves out cannot stop the notebook.
        if not guarded:
            self.result.refused.append(f'{place}: "{text}" cannot be installed: {reason}.')

    def _keep(self, text: str, place: Origin, *, guarded: bool, hashes: tuple[str, ...] = ()) -> None:
        """Keep a requirement once."""
        kept = self.result.guarded if guarded else self.result.installs
        if all(requirement.text != text for requirement in kept):
            kept.append(Requirement(text=text, origin=place, hashes=hashes))

    def _named(self, text: str, place: Origin, *, guarded: bool, hashes: tuple[str, ...]) -> _Refusal | None:
        """Keep a requirement that names a distribution; return why not."""
        try:
            parse_requirement(text)
        except MalformedError:
            return _Refusal("it is not a requirement such as numpy>=1.26 (PEP 508)")
        self._keep(text, place, guarded=guarded, hashes=hashes)
        return None

    def _line(self, option: str, value: str, place: Origin, folder: Path, *, guarded: bool) -> _Refusal | None:
        """Keep an option about where packages come from; return why not."""
        if option in {"--find-links", "--index-url", "--extra-index-url"} and "://" not in value:
            path = (folder / value).resolve()
            if not path.is_dir():
                return _Refusal(f"there is no such directory for {option}")
            value = path.as_uri()
        if not guarded:
            self._keep(f"{option} {value}".strip(), place, guarded=False)
        return None

    def _bound(self, text: str, place: Origin, *, guarded: bool) -> _Refusal | None:
        """Keep a line of a file of constraints; return why not."""
        try:
            parse_requirement(text)
        except MalformedError:
            return _Refusal("it is not a bound such as numpy<2 (PEP 508)")
        if not guarded:
            self._keep(f"-c {text}", place, guarded=False)
        return None

    def _address(self, text: str, place: Origin, *, guarded: bool) -> _Refusal | None:
        """Keep what uv can fetch, in the form ``name @ address`` where its name is said; return why not."""
        name, _, address = text.rpartition("@ ") if "@ " in text else ("", "", text)
        named = re.fullmatch(r"([A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*@\s*(\S+://.*)", text)
        if named:
            name, address = named[1], named[2]
        if not _FETCHED.match(address.strip()):
            return _Refusal("only the addresses of archives and of git's repositories can be fetched")
        egg = _EGG.search(address)
        if egg:
            name = name.strip(" @") or egg[1] + (egg[2] or "")
            address = _without_egg(address, egg)
        if not guarded:  # what the registry has under such a name is something else
            kept = f"{name.strip()} @ {address.strip()}" if name.strip() else address.strip()
            self._keep(kept, place, guarded=False)
        return None

    def _archive(self, text: str, place: Origin, folder: Path, *, guarded: bool) -> _Refusal | None:
        """Keep an archive of the project as a path relative to the root; return why not."""
        path = (folder / text).resolve()
        if not path.is_relative_to(self.root):
            return _Refusal(_OUTSIDE)
        if not path.is_file():
            return _Refusal("there is no such archive when the environment is built")
        self._keep(f"./{path.relative_to(self.root).as_posix()}", place, guarded=guarded)
        return None

    def _directory(self, text: str, place: Origin, folder: Path, *, guarded: bool) -> _Refusal | None:
        """Keep a project's directory as ``-e <path>``, relative to the root; return why not."""
        path, extras = (text[: text.index("[")], text[text.index("[") :]) if text.endswith("]") else (text, "")
        target = (folder / path.removeprefix("file:")).resolve()
        if not target.is_relative_to(self.root):
            return _Refusal(_OUTSIDE)
        if not any((target / name).is_file() for name in METADATA_FILES):
            return _Refusal("there is no project in that directory")
        relative = target.relative_to(self.root).as_posix()
        self._keep(f"-e {relative if relative == '.' else f'./{relative}'}{extras}", place, guarded=guarded)
        return None

    def _text(self, text: str, path: Path) -> str | _Refusal:
        """Return what a file of the project holds, or why it cannot be read."""
        if _VALUE.search(text) or _ADDRESS.search(text):
            return _Refusal(_UNKNOWN_VALUE if _VALUE.search(text) else _NOT_HERE)
        if not path.is_relative_to(self.root):
            return _Refusal(_OUTSIDE)
        try:
            return decode_requirements(path.read_bytes())
        except FileNotFoundError:
            return _Refusal("there is no such file")
        except ODD_INPUT as error:
            return _Refusal(f"it cannot be read ({phrase_of(error)})")


class _Refusal(str):
    """Why something cannot be installed, as the end of a sentence."""

    __slots__ = ()


def _without_egg(address: str, egg: re.Match[str]) -> str:
    """Return an address without the name that its fragment says."""
    rest = address[: egg.start()] + address[egg.end() :]
    return rest.replace("#&", "#") if "#" in rest else rest.replace("&", "#", 1) if egg[0][0] == "#" else rest


def _of_line(line: str) -> list[InstallTarget]:
    """Return what one line of a file of requirements asks for."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    if line.startswith("-"):
        return read_arguments(words)
    # Options such as --hash may follow a requirement.
    options = next((number for number, word in enumerate(words) if word.startswith("--")), len(words))
    asked = InstallTarget(kind="name", text=re.split(r"[ \t]--", line)[0], hashes=given_hashes(line))
    return [asked, *read_arguments(words[options:])]


def _requirement_lines(content: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file of requirements with their numbers, joined and without comments."""
    start, joined = 0, ""
    for number, line in enumerate(content.splitlines(), start=1):
        start = start or number
        if line.endswith("\\"):
            joined += line[:-1].strip() + " "
            continue
        text = re.sub(r"(?:^|[ \t]+)#.*$", "", joined + line.strip()).strip()
        if text:
            yield start, text
        start, joined = 0, ""


def _pip_arguments(words: list[str]) -> list[str] | None:
    """Return what follows ``install`` in a command of pip or uv; None when it is none."""
    if words[:2] == ["uv", "pip"]:
        words = words[1:]
    elif len(words) > 2 and _PYTHON.fullmatch(words[0]):  # noqa: PLR2004 - python, -m, pip
        words = [word for word in words[1:] if not re.fullmatch(r"-[IsEuBS]+", word)]
        if words[:1] != ["-m"]:
            return None
        words = words[2:] if words[1:3] == ["uv", "pip"] else words[1:]
    if not words or not _PIP.fullmatch(words[0]):
        return None
    # Options may stand before the subcommand.
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if takes_value(rest[0]) else rest[1:]
    return rest[1:] if rest[:1] == ["install"] else None


def _looks_like_path(text: str) -> bool:
    """Return whether pip would take a text for a directory."""
    return text.startswith((".", "/", "~")) or ("/" in text and "@" not in text)
