"""The package that a project itself distributes, in all the spellings by which it is asked for."""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from envsolver.core.notebooks import NOT_INSTALLED, Import, Requirement
from envsolver.core.parsing import MalformedError, read_text, table_of
from envsolver.core.projects import project_name, pyproject
from envsolver.resolver.project_metadata import ProjectMetadata, read_metadata
from envsolver.resolver.requirement_text import address_of, build_backend, parse, repository

_NOT_EDITABLE = frozenset({"mesonpy"})
"""Build backends whose editable packages build themselves anew when imported, with tools that are gone by then."""

_SUBDIRECTORY = re.compile(r"[#&]subdirectory=([^&#\s]+)")
_EXTRAS = re.compile(r"^(?:-e\s+)?[A-Za-z0-9._-]+\s*(\[[^\]]*\])")

_FOR_WORK_ON_IT = frozenset(
    {"test", "tests", "testing", "dev", "develop", "development", "lint", "typing", "build", "ci", "qa"}
)
"""Words in the names of extras that are there for those who change the package, not for those who use it."""

_EXTRAS_AT_END = re.compile(r"\[([^\[\]]*)\]$")


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnProject:
    """The package that the project itself distributes; environments hold it editable where that can be."""

    name: str
    """Its distribution's normalised name."""
    modules: frozenset[str]
    """The top-level modules that it provides."""
    text: str = "-e ."
    """The requirement that stands for it."""
    repositories: frozenset[str] = frozenset()
    """Where its sources are kept, as `repository` writes addresses."""
    subdirectory: str = ""
    """Where the project stands in its repository; empty for the repository's top."""
    metadata: ProjectMetadata | None = None
    """What its files say of it; None where only a build tells."""

    def holds(self, path: str) -> bool:
        """Return whether a file, relative to the project's root, is part of the package."""
        parts = path.removeprefix("src/").split("/")
        return len(parts) > 1 and parts[0] in self.modules

    def is_at(self, address: str) -> bool:
        """Return whether an address is that of the project: of its repository, or of one of its name."""
        key = repository(address)
        found = _SUBDIRECTORY.search(address)
        inner = "" if found is None else found[1].strip("/")
        if key in self.repositories:
            return inner == self.subdirectory
        return not inner and canonicalize_name(key.rpartition("/")[2]) == self.name

    def spelt(self, text: str) -> str | None:
        """Return the requirement for the project as it is here, if that is what `text` means; else None."""
        if match := re.fullmatch(r"-e \.(\[[^\]]*\])?", text):
            return self.text + (match[1] or "")
        parsed = parse(text)
        address = address_of(text)
        if parsed is not None and canonicalize_name(parsed.name) == self.name:
            return self.text + (f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else "")
        if address is None or not self.is_at(address):
            return None
        extras = _EXTRAS.match(text)
        return self.text + (extras[1] if extras else "")

    def extras_for(self, imports: Iterable[Import], names: Callable[[str], Iterable[str]]) -> Iterator[Requirement]:
        """Yield the project with the smallest extra that provides a module which its own files import.

        One that is there for work on the package, such as ``test``, comes after all others.

        Parameters
        ----------
        names
            Gives the normalised names of the distributions that may provide a module.
        """
        if self.metadata is None:
            return
        base = set(map(_name, self.metadata.dependencies))
        extras = {extra: set(map(_name, texts)) for extra, texts in self.metadata.extras.items()}
        for wanted in imports:
            providers = set(names(wanted.module))
            fitting = [extra for extra, held in extras.items() if not providers.isdisjoint(held)]
            if fitting and not wanted.optional and providers.isdisjoint(base):
                extra = min(fitting, key=lambda one: (_is_for_work_on_it(one), len(extras[one]), one))
                yield Requirement(text=f"{self.text}[{extra}]", origin=wanted.origin)


def own_project(root: Path) -> OwnProject | None:
    """Return the package that the project in `root` distributes, or None when it has none."""
    name = project_name(root)
    if name is None:
        return None
    found = {name.replace("-", "_")}
    source = root / "src"
    for place in (source, root):
        packages = {file.parent.name for file in place.glob("*/__init__.py")} - NOT_INSTALLED
        # Beside a `src` directory, packages at the root are no part of the distribution.
        if place == source or not source.is_dir():
            found.update(packages)
        found.update(file.stem for file in place.glob("*.py") if file.stem not in {"setup", "conftest", "noxfile"})
    text = "." if build_backend(root) in _NOT_EDITABLE else "-e ."
    remotes, subdirectory = _remotes(root)
    return OwnProject(
        name=name,
        modules=frozenset(found),
        text=text,
        repositories=frozenset(map(repository, [*remotes, *_stated_addresses(root)])),
        subdirectory=subdirectory,
        metadata=read_metadata(root),
    )


def with_extras(requirements: Iterable[Requirement], root: Path) -> tuple[Requirement, ...]:
    """Return requirements, and those of the extras with which they ask for the project itself."""
    own = own_project(root)
    if own is None or own.metadata is None:
        return tuple(requirements)
    found: list[Requirement] = []
    for requirement in requirements:
        found.append(requirement)
        extras = _EXTRAS_AT_END.search(requirement.text) if requirement.text.startswith(own.text) else None
        names = extras[1].split(",") if extras else []
        texts = (text for name in names for text in own.metadata.extras.get(name.strip(), ()))
        found += [Requirement(text=text, origin=requirement.origin) for text in texts]
    return tuple(found)


def _is_for_work_on_it(extra: str) -> bool:
    return not _FOR_WORK_ON_IT.isdisjoint(re.split(r"[-_.]+", extra.lower()))


def _name(text: str) -> str:
    parsed = parse(text)
    return canonicalize_name(parsed.name) if parsed else text


def _stated_addresses(root: Path) -> Iterator[str]:
    """Yield the addresses that a project's files give for it."""
    table = pyproject(root)
    urls = [table_of(table, "project", "urls"), table_of(table, "tool", "poetry", "urls")]
    yield from (url for each in urls for url in each.values() if isinstance(url, str))
    poetry = table_of(table, "tool", "poetry")
    yield from (url for key in ("repository", "homepage") if isinstance(url := poetry.get(key), str))
    for file in ("setup.cfg", "setup.py"):
        try:
            yield from re.findall(r"""(?m)^\s*url\s*=\s*["']?(https?://[^\s"',]+)""", read_text(root / file))
        except (OSError, MalformedError):
            continue


def _remotes(root: Path) -> tuple[list[str], str]:
    """Return the addresses of the remotes of the git repository that holds a folder, and where in it the folder is."""
    for folder in (root, *root.parents):
        config = _git_config(folder / ".git")
        if config is not None:
            inner = root.relative_to(folder).as_posix()
            urls = [config[name].get("url", "") for name in config.sections() if name.startswith("remote ")]
            return [url for url in urls if url], "" if inner == "." else inner
    return [], ""


def _git_config(place: Path) -> configparser.ConfigParser | None:
    """Return git's configuration of a repository, or None where there is none that can be read."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        if place.is_file():
            # A worktree's or a submodule's says where it is kept.
            place = (place.parent / read_text(place).strip().removeprefix("gitdir: ")).resolve()
            common = place / "commondir"
            place = (place / read_text(common).strip()).resolve() if common.is_file() else place
        parser.read_string("\n".join(line.strip() for line in read_text(place / "config").splitlines()))
    except (OSError, MalformedError, configparser.Error):
        return None
    return parser
