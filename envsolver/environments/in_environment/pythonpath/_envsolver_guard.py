# ruff: noqa: INP001  # its directory is put on the import path; it is no package
"""What runs when a notebook calls pip, uv or conda: environments are shared, and a notebook never changes one.

What the environment already satisfies passes as satisfied. What it does not satisfy is refused with the line to add,
and recorded, so that the worker fails the cell although ``!pip`` raises nothing.

Runs on the environment's interpreter, which may be any Python from 3.7 on, with the standard library and `packaging`.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    import importlib_metadata as metadata  # type: ignore[import-not-found,no-redef]

from _envsolver_listing import normal, read  # type: ignore[import-not-found]  # it stands beside this module
from _envsolver_places import (  # type: ignore[import-not-found]
    as_requirement,
    installed,
    is_own,
    is_place,
    place_fault,
    same_url,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_VALUED = frozenset({
    "-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints", "-e", "--editable", "-t",
    "--target", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--prefix", "--root", "--src",
    "--python-version", "--platform", "--implementation", "--abi", "--upgrade-strategy", "--global-option",
    "--config-settings", "--config-setting", "-C", "--no-binary", "--only-binary", "--progress-bar", "--report",
    "--proxy", "--retries", "--timeout", "--exists-action", "--trusted-host", "--cert", "--client-cert",
    "--cache-dir", "--log", "--python", "--use-feature", "--use-deprecated", "--root-user-action",
    "--keyring-provider", "--group", "--resume-retries", "-p", "--index", "--default-index", "--exclude-newer",
    "--resolution", "--prerelease", "--index-strategy", "--link-mode", "--extra", "--override", "--directory",
    "--project", "--upgrade-package", "-P", "--reinstall-package", "--no-build-isolation-package",
    "--python-platform", "--torch-backend", "--color", "--config-file", "-b", "--build-constraint",
    "--build-constraints", "--uploaded-prior-to",
})  # fmt: skip
"""Options of pip and uv that take a value as the next word."""

_CONDA_VALUED = frozenset({
    "-c", "--channel", "-n", "--name", "-p", "--prefix", "--file", "--solver", "--revision", "--repodata-fn",
})  # fmt: skip

_ELSEWHERE = frozenset({"-t", "--target", "--prefix", "--root"})
"""Options that install where the environment's interpreter does not look."""

_ELSEWHERE_FAULT = "it installs elsewhere"
_INVALID = "it is not a valid requirement"
_NO_LINE_HELPS = frozenset({_ELSEWHERE_FAULT, _INVALID})
"""What no line that is added to a group's requirements mends."""

_READ = frozenset({"list", "freeze", "show"})
_TOOLS = frozenset({"pip", "setuptools", "wheel", "uv", "conda"})
"""What notebooks upgrade out of habit. Without a version it counts as satisfied: an import would tell."""

_DEEPEST = 20


class _Parsed:
    """An install command: what it asks for, and what only a pip could do."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.files: list[str] = []
        self.projects: list[str] = []
        self.bounds: list[str] = []
        self.elsewhere: list[str] = []
        self.groups: list[str] = []


def run(tool: str, arguments: Sequence[str]) -> int:
    """Do what a call of `tool` may do, and return its exit code."""
    words = list(arguments)
    conda = tool in {"conda", "mamba", "micromamba"}
    if tool == "easy_install":
        words.insert(0, "install")
    if tool == "uv":
        words = _after_uv(words)
    command = next((word for word in words if not word.startswith("-")), "")
    rest = words[words.index(command) + 1 :] if command else words
    if not command:
        return _version(tool, words)
    if command in {"install", "add", "update", "upgrade"} and (conda or command in {"install", "add"}):
        return _install(tool, rest, conda=conda)
    if command in {"uninstall", "remove"}:
        return _uninstall(tool, command, rest)
    if command in _READ:
        code: int = read(command, rest, metadata.distributions())
        return code
    sys.stderr.write(f"envsolver: `{tool} {command}` is not available to a notebook under test.\n")
    return 1


def _after_uv(words: list[str]) -> list[str]:
    return words[1:] if words[:1] == ["pip"] else words


def _version(tool: str, words: list[str]) -> int:
    if {"-V", "--version"} & set(words):
        version = ".".join(map(str, sys.version_info[:2]))
        sys.stdout.write(f"{tool} 0 from envsolver, which keeps environments as they are (python {version})\n")
    else:
        sys.stdout.write(f"usage: {tool} install | list | freeze | show (envsolver keeps environments as they are)\n")
    return 0


def _install(tool: str, words: list[str], *, conda: bool) -> int:
    if {"-h", "--help"} & set(words):
        return _version(tool, [])
    parsed = _parse(words, _CONDA_VALUED if conda else _VALUED)
    if "--dry-run" in words:
        return 0
    try:
        wanted, bounds = _asked(parsed, conda=conda)
    except (OSError, UnicodeError) as error:
        sys.stderr.write(f"ERROR: Could not open requirements file: {error}\n")
        return 1
    for group in parsed.groups:  # the environment was solved with them
        sys.stdout.write(f"Requirement already satisfied: dependency group {group}\n")
    if not wanted and not parsed.groups:
        sys.stderr.write("ERROR: You must give at least one requirement to install\n")
        return 1
    lacking = []
    for text in wanted:
        fault = _fault(text)
        if fault is None:
            sys.stdout.write(f"Requirement already satisfied: {text}\n")
        else:
            lacking.append((text, fault))
    if not lacking:
        lacking = [*_broken(wanted, bounds), *((option, _ELSEWHERE_FAULT) for option in parsed.elsewhere)]
    sys.stdout.flush()
    return _refuse(tool, lacking) if lacking else 0


def _asked(parsed: _Parsed, *, conda: bool) -> tuple[list[str], list[str]]:
    """Return what a command wants and the bounds that it sets, those of the files that it names too."""
    if conda:
        return [_from_conda(text) for text in parsed.wanted], []
    bounds: list[str] = list(_lines_of(parsed.bounds, []))
    wanted = [*parsed.wanted, *_lines_of(parsed.files, bounds), *parsed.projects]
    return wanted, bounds


def _broken(wanted: Sequence[str], bounds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the bounds that what is wanted, or what that needs, breaks, each with the version that is installed."""
    if not bounds:
        return
    from packaging.requirements import InvalidRequirement, Requirement

    waiting, needed = list(wanted), set()
    while waiting:
        try:
            name = normal(Requirement(waiting.pop()).name)
            if name not in needed:
                needed.add(name)
                waiting += metadata.requires(name) or []
        except (InvalidRequirement, metadata.PackageNotFoundError):
            continue
    for text in bounds:
        try:
            bound = Requirement(text)
        except InvalidRequirement:
            continue
        version = installed(bound.name)
        applies = bound.marker is None or bound.marker.evaluate({"extra": ""})
        broken = version and applies and not bound.specifier.contains(version, prereleases=True)
        if broken and normal(bound.name) in needed:
            yield text, f"version {version} is installed"


def _parse(words: Sequence[str], valued: frozenset[str]) -> _Parsed:
    parsed = _Parsed()
    kept = {
        **dict.fromkeys(("-r", "--requirement", "--requirements"), parsed.files),
        **dict.fromkeys(("-c", "--constraint", "--constraints"), parsed.bounds),
        "--group": parsed.groups,
    }
    queue = list(words)
    while queue:
        word = queue.pop(0)
        option, has_value, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            parsed.wanted.append(word)
            continue
        if word[:2] in valued and word != word[:2]:  # such as "-rfile"
            option, has_value, value = word[:2], "=", word[2:]
        if option not in valued:
            continue
        if not has_value:
            value = queue.pop(0) if queue else ""
        if option in kept:
            kept[option].append(value)
        elif option in _ELSEWHERE:
            parsed.elsewhere.append(option)
        elif option in {"-e", "--editable"}:
            parsed.projects.append(value if is_place(value) else f"./{value}")
    return parsed


def _text(path: Path) -> str:
    """Return the text of a file of requirements, as pip reads it: UTF-8, or what its first bytes announce."""
    data = path.read_bytes()
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8-sig")


def _lines_of(files: Sequence[str], bounds: list[str], depth: int = 0) -> Iterator[str]:
    """Yield what files of requirements ask for; the lines of files of bounds that they name are put into `bounds`."""
    for name in files:
        text = _text(Path(name))
        for line in text.replace("\\\n", " ").splitlines():
            bare = re.sub(r"(^|\s)#.*", "", line).strip()
            bare = re.sub(r"\s--hash[= ]\S+", "", bare).strip()
            if bare.startswith("-"):
                nested = _parse(bare.split(), _VALUED)
                yield from nested.projects
                if depth < _DEEPEST:
                    folder = Path(name).parent
                    bounds += _lines_of([str(folder / inner) for inner in nested.bounds], bounds, depth + 1)
                    yield from _lines_of([str(folder / inner) for inner in nested.files], bounds, depth + 1)
            elif bare:
                yield bare


def _from_conda(spec: str) -> str:
    """Turn a conda specification, such as ``conda-forge::numpy=1.26``, into a requirement."""
    text = spec.rsplit("::", maxsplit=1)[-1].strip()
    match = re.match(r"^([A-Za-z0-9._-]+)\s*=\s*([0-9][^=\s]*)(=.*)?$", text)
    if match and not match.group(2).endswith("*"):
        return f"{match.group(1)}=={match.group(2)}.*"
    return text.replace(" ", "") if not match else f"{match.group(1)}=={match.group(2)}"


def _fault(text: str, extras_seen: set[tuple[str, str]] | None = None) -> str | None:
    """Return why the environment does not satisfy a requirement, or None when it does."""
    if is_place(text):
        fault: str | None = place_fault(text)
        return fault
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return None if re.match(r"^[\w.-]+$", text) and installed(text) else "it could not be checked"
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return _INVALID
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
    return _requirement_fault(requirement, set() if extras_seen is None else extras_seen)


def _requirement_fault(requirement: Any, seen: set[tuple[str, str]]) -> str | None:
    version = installed(requirement.name)
    if version is None:
        habit = normal(requirement.name) in _TOOLS and not requirement.specifier and not requirement.extras
        return None if habit else "it is not installed"
    own = is_own(requirement.name)
    if requirement.url and not own:
        return None if same_url(requirement.name, requirement.url) else "it is not installed from that URL"
    if not own and requirement.specifier and not requirement.specifier.contains(version, prereleases=True):
        return f"version {version} is installed"
    for extra in sorted(requirement.extras):
        if (requirement.name, extra) not in seen:
            seen.add((requirement.name, extra))
            fault = _extra_fault(requirement.name, extra, seen)
            if fault:
                return fault
    return None


def _extra_fault(name: str, extra: str, seen: set[tuple[str, str]]) -> str | None:
    from packaging.requirements import Requirement

    for text in metadata.requires(name) or []:
        needed = Requirement(text)
        only_with_extra = needed.marker is not None and not needed.marker.evaluate({"extra": ""})
        if only_with_extra and needed.marker is not None and needed.marker.evaluate({"extra": extra}):
            fault = _requirement_fault(needed, seen)
            if fault:
                return f"its extra {extra} needs {needed.name}, and {fault}"
    return None


def _refuse(tool: str, lacking: Sequence[tuple[str, str]]) -> int:
    group, place = os.environ.get("ENVSOLVER_GROUP", ""), os.environ.get("ENVSOLVER_REQUIREMENTS_PLACE", "")
    what = "; ".join(f"{text} ({fault})" for text, fault in lacking)
    message = (
        f"the environment of group {group!r} does not satisfy what the cell installs with {tool}: {what}. "
        "A notebook never changes an environment"
    )
    if any(fault in _NO_LINE_HELPS for _, fault in lacking):
        return _record(message, [])
    lines = [as_requirement(text, place) for text, _ in lacking]
    return _record("\n    ".join([f"{message}. Add to {place}:", *lines]), lines)


def _record(message: str, requirements: Sequence[str]) -> int:
    sys.stderr.write(f"envsolver: {message}\n")
    file = os.environ.get("ENVSOLVER_INSTALL_RECORD")
    if file:
        entry: dict[str, Any] = {"message": message, "requirements": list(requirements)}
        with Path(file).open("a", encoding="utf-8") as record:
            record.write(json.dumps(entry) + "\n")
    return 1


def _uninstall(tool: str, command: str, words: Sequence[str]) -> int:
    names = [word for word in words if not word.startswith("-")]
    present = [name for name in names if installed(name)]
    for name in names:
        if name not in present:
            sys.stdout.write(f"WARNING: Skipping {name} as it is not installed.\n")
    if not present:
        return 0
    call = f"{tool} {command} {' '.join(present)}"
    return _record(f"`{call}` would change the environment, which a notebook never does", [])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
