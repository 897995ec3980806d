"""Read the requirements out of a notebook's install commands.

What pip and uv are asked to install binds. conda's names are another ecosystem's, so they bind nothing; nor does what
stands behind a condition. Addresses, archives and values only known at run time are refused, each with its reason.
Options that say where packages come from are left to the user's own settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from envsolver.core.notebooks import Origin, Requirement
from envsolver.core.parsing import MalformedError, parse_requirement, read_text
from envsolver.notebooks.findings import Command
from envsolver.notebooks.shell import SimpleCommand, simple_commands
from envsolver.notebooks.walk import shown_name

_VALUED_SHORT = "rciftebCp"
_VALUED_OPTIONS = """
    --requirement --requirements --constraint --constraints --editable --index-url --extra-index-url
    --find-links --target --prefix --root --src --platform --python-version --implementation --abi --only-binary
    --no-binary --progress-bar --proxy --retries --timeout --exists-action --trusted-host --cert --client-cert
    --cache-dir --log --config-settings --config-setting --global-option --install-option --build-option
    --upgrade-strategy --root-user-action --report --use-feature --use-deprecated --python --keyring-provider
    --index --default-index --group --torch-backend --resolution --prerelease --exclude-newer --override
    --overrides --build-constraint --upgrade-package --refresh-package --reinstall-package --link-mode
    --index-strategy --fork-strategy
"""
_VALUED_LONG = frozenset(_VALUED_OPTIONS.split())
_CONDA_VALUED = frozenset({"-c", "--channel", "-n", "--name", "-p", "--prefix", "--file", "--revision", "--solver"})
_PIP = re.compile(r"(?:\S*/)?pip(?:3(?:\.\d+)?)?")
_PYTHON = re.compile(r"(?:\S*/)?python(?:3(?:\.\d+)?)?|\{.*\}|\$\S+|py")
_CONDA = frozenset({"conda", "mamba", "micromamba"})
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar(?:\.\w+)?|tgz|egg)$", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:(?:git|hg|svn|bzr)\+)?[a-z][a-z0-9+.-]*://|(?:git|hg|svn|bzr)\+", re.IGNORECASE)
_VALUE = re.compile(r"\{[^{}]*\}|\$\w|\$\{|\$\(|`")
_IS_ADDRESS = "it is an address, and environments are built from the registry's packages"
_CONDA_NAME = re.compile(r"(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)(?:[=<>!].*)?")


@dataclass(kw_only=True, slots=True)
class InstallRequests:
    """What the install lines of a notebook come to; see the fields of `Notebook` with these names."""

    installs: list[Requirement] = field(default_factory=list)
    guarded: list[Requirement] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallTarget:
    """One thing that an install command names: a requirement, a project's directory, or a file of requirements."""

    kind: str
    text: str


class InstallReader:
    """Collects what the commands of one notebook install.

    Parameters
    ----------
    root
        The project's root, absolute and resolved.
    folder
        The notebook's folder, absolute.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.result = InstallRequests()
        self.files: set[Path] = set()

    def read(self, command: Command, origin: Origin) -> None:
        """Take one command in; `origin` is where its text begins."""
        for simple in simple_commands(command.text):
            line = None if origin.line is None else origin.line + simple.line
            place = Origin(path=origin.path, cell=origin.cell, line=line)
            guarded = command.guarded or simple.guarded
            self._simple(simple, place, guarded=guarded)

    def _simple(self, simple: SimpleCommand, place: Origin, *, guarded: bool) -> None:
        """Take one simple command in, if it installs anything."""
        words = list(simple.words)
        if words and words[0] in _CONDA:
            self._conda(words[1:], place)
            return
        arguments = _pip_arguments(words)
        if arguments is None:
            return
        for wish in _wishes(arguments):
            self._wish(wish, place, self.folder, guarded=guarded)

    def _conda(self, words: list[str], place: Origin) -> None:
        """Take plain names of a conda command in as guarded."""
        if words[:1] != ["install"]:
            return
        skip = False
        for word in words[1:]:
            if not skip and not word.startswith("-") and (name := _CONDA_NAME.fullmatch(word)):
                self.result.guarded.append(Requirement(text=name[1], origin=place))
            skip = not skip and word in _CONDA_VALUED

    def _wish(self, wish: InstallTarget, place: Origin, folder: Path, *, guarded: bool) -> None:
        """Take in one thing that is to be installed."""
        text = wish.text.strip()
        reason = ""
        if _VALUE.search(text):
            reason = "it holds a value that is only known when the notebook runs"
        elif wish.kind == "file":
            reason = self._file(text, folder, guarded=guarded)
        elif _ADDRESS.search(text):
            reason = _IS_ADDRESS
        elif _ARCHIVE.search(text.split(";")[0].strip()):
            reason = "it is an archive, and environments are built from the registry's packages"
        elif wish.kind == "directory" or _looks_like_path(text):
            reason = self._directory(text, place, folder, guarded=guarded)
        else:
            reason = self._named(text, place, guarded=guarded)
        # What a condition leaves out cannot stop the notebook.
        if reason and not guarded:
            self.result.refused.append(f'{place}: "{text}" cannot be installed: {reason}.')

    def _keep(self, text: str, place: Origin, *, guarded: bool) -> None:
        """Keep a requirement once."""
        kept = self.result.guarded if guarded else self.result.installs
        if all(requirement.text != text for requirement in kept):
            kept.append(Requirement(text=text, origin=place))

    def _named(self, text: str, place: Origin, *, guarded: bool) -> str:
        """Keep a requirement that names a distribution; return why not."""
        try:
            parsed = parse_requirement(text)
        except MalformedError:
            return "it is not a requirement such as numpy>=1.26 (PEP 508)"
        if parsed.url:
            return _IS_ADDRESS
        self._keep(text, place, guarded=guarded)
        return ""

    def _directory(self, text: str, place: Origin, folder: Path, *, guarded: bool) -> str:
        """Keep a project's directory as ``-e <path>``, relative to the root; return why not."""
        path, extras = (text[: text.index("[")], text[text.index("[") :]) if text.endswith("]") else (text, "")
        target = (folder / path.removeprefix("file:")).resolve()
        if not target.is_relative_to(self.root):
            return "it lies outside of the project"
        if not any((target / name).is_file() for name in ("pyproject.toml", "setup.py")):
            return "there is no project in that directory"
        relative = target.relative_to(self.root).as_posix()
        self._keep(f"-e {relative if relative == '.' else f'./{relative}'}{extras}", place, guarded=guarded)
        return ""

    def _file(self, text: str, folder: Path, *, guarded: bool) -> str:
        """Take a file of requirements in, each line with its own place; return why not."""
        if _ADDRESS.search(text):
            return _IS_ADDRESS
        path = (folder / text).resolve()
        if not path.is_relative_to(self.root):
            return "it lies outside of the project"
        if path in self.files:
            return ""
        try:
            content = read_text(path)
        except FileNotFoundError:
            return "there is no such file"
        except MalformedError as error:
            return f"it cannot be read ({error})"
        self.files.add(path)
        shown = shown_name(path.relative_to(self.root).as_posix())
        for number, line in _requirement_lines(content):
            origin = Origin(path=shown, line=number)
            for wish in _wishes_of_line(line):
                self._wish(wish, origin, path.parent, guarded=guarded)
        return ""


def _wishes_of_line(line: str) -> Iterator[InstallTarget]:
    """Give what one line of a file of requirements names."""
    if not line.startswith("-"):
        # Options such as --hash may follow a requirement.
        yield InstallTarget(kind="name", text=re.split(r"[ \t]--", line)[0])
        return
    option, _, value = line.partition("=") if line.startswith("--") and "=" in line else line.partition(" ")
    if option in {"--requirement", "--editable", "-r", "-e"}:
        yield from _valued(option.lstrip("-")[0], value.strip())
    elif line.startswith(("-r", "-e")):
        yield from _valued(line[1], line[2:].strip())


def _requirement_lines(content: str) -> Iterator[tuple[int, str]]:
    """Give the lines of a file of requirements with their numbers, joined and without comments."""
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
        rest = rest[2:] if rest[0] in _VALUED_LONG else rest[1:]
    return rest[1:] if rest[:1] == ["install"] else None


def _wishes(arguments: list[str]) -> Iterator[InstallTarget]:
    """Give what the arguments of ``install`` name, options left out."""
    waiting = iter(arguments)
    for word in waiting:
        if word.startswith("--"):
            option, has_value, value = word.partition("=")
            if option in _VALUED_LONG and not has_value:
                value = next(waiting, "")
            yield from _valued(
                option.removeprefix("--")[:1] if option in {"--requirement", "--editable"} else "", value
            )
            if option == "--requirements":
                yield InstallTarget(kind="file", text=value)
        elif word.startswith("-"):
            position = next((index for index, letter in enumerate(word) if index and letter in _VALUED_SHORT), None)
            if position is not None:
                value = word[position + 1 :].lstrip("=") or next(waiting, "")
                yield from _valued(word[position], value)
        elif word:
            yield InstallTarget(kind="name", text=word)


def _valued(option: str, value: str) -> Iterator[InstallTarget]:
    """Give what an option with a value names, if it names something to install."""
    if option == "r" and value:
        yield InstallTarget(kind="file", text=value)
    elif option == "e" and value:
        yield InstallTarget(kind="directory", text=value)


def _looks_like_path(text: str) -> bool:
    """Tell whether pip would take a text for a directory."""
    return text.startswith((".", "/", "~")) or ("/" in text and "@" not in text)
