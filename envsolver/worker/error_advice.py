"""What to do about an exception, where its text tells what it comes from: the end of the reason's sentence."""

from __future__ import annotations

import os
import re
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path

from envsolver.core.advice import skipping
from envsolver.core.folders import is_skipped
from envsolver.core.jobs import Job
from envsolver.worker.missing_modules import missing_module_advice

_NO_ATTRIBUTE = re.compile(r"(?<!initialized )module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'")
_GONE = (
    re.compile(r"cannot import name '[\w.]+' from '(?P<module>[\w.]+)' \((?P<path>.+)\)"),
    _NO_ATTRIBUTE,
    re.compile(r"`(?P<module>np)\.[\w.]+` was removed in the NumPy"),
)
_OFFLINE = (
    "Name or service not known", "Temporary failure in name resolution", "No address associated with hostname",
    "nodename nor servname provided", "getaddrinfo failed", "Network is unreachable", "No route to host",
    "Failed to establish a new connection", "Could not resolve host", "Tunnel connection failed",
    "Cannot connect to host", "Unable to connect to proxy", "Cannot connect to proxy",
)  # fmt: skip
_NO_FILE = re.compile(r"No such (?:file(?: or directory)?)\b:? *[br]?(['\"])(?P<path>.+?)\1")
_NO_LIBRARY = re.compile(
    r"(?<![\w.+-])(?P<library>[\w.+-]+\.so(?:\.\d+)*): cannot open shared object file: No such file"
)
_MOST_FOLDERS = 5000


def error_advice(job: Job, ename: str, evalue: str, traceback: str) -> str:
    """Say what to do about an exception, beginning with a semicolon; empty when its text does not tell.

    Parameters
    ----------
    traceback
        Its frames and those of its causes, whose texts count where a library tells of a fault in its own words.
    """
    return (
        _library_advice(job, f"{evalue}\n{traceback}")
        or missing_module_advice(job, ename, evalue, traceback)
        or (_submodule_advice(job, evalue) if ename == "AttributeError" else "")
        or _gone_advice(job, ename, evalue)
        or _offline_advice(job, f"{evalue}\n{traceback}")
        or (_file_advice(job, evalue, traceback) if ename == "FileNotFoundError" else "")
    )


def _gone_advice(job: Job, ename: str, evalue: str) -> str:
    """Advise a bound when an installed package lacks a name; a module of the project is its own affair."""
    if ename not in {"ImportError", "AttributeError"}:
        return ""
    found = next(filter(None, (form.search(evalue) for form in _GONE)), None)
    if found is None or not _inside(found.groupdict().get("path"), job.binding.prefix):
        return ""
    package = {"np": "numpy"}.get(found["module"], found["module"].partition(".")[0])
    own = job.binding.project.partition(" ")[0].replace("-", "_")
    libraries = _libraries(job)
    if package == own or not any((library / package).is_dir() for library in libraries):
        return ""
    owner = next(iter(distributions(name=package, path=[str(library) for library in libraries])), None)
    shown = f"{package} {owner.version}" if owner else package
    return f"; {shown} has no such name: if another version has it, bound that in {job.binding.requirements_place}"


def _submodule_advice(job: Job, evalue: str) -> str:
    """Name the import that is missing, where the name that a package lacks is a module of it that nothing imported."""
    found = _NO_ATTRIBUTE.search(evalue)
    if found is None:
        return ""
    inner = Path(*found["module"].split("."))
    packages = [place / inner for place in (*_libraries(job), Path(job.root), Path(job.root, "src"))]
    if not any(_holds_module(package, found["name"]) for package in packages):
        return ""
    module = f"{found['module']}.{found['name']}"
    return f"; {module} is a module that nothing imported before: put `import {module}` ahead"


def _holds_module(package: Path, name: str) -> bool:
    return (package / name / "__init__.py").is_file() or any(
        path.suffix in {".py", ".so", ".pyd"} for path in package.glob(f"{name}.*")
    )


def _libraries(job: Job) -> list[Path]:
    return list(Path(job.binding.prefix).glob("lib*/python*/site-packages"))


def _inside(path: str | None, prefix: str) -> bool:
    """Return whether a module's file, where it is told, lies in the environment."""
    return bool(prefix) and (path is None or Path(path).is_relative_to(prefix))


def _offline_advice(job: Job, text: str) -> str:
    if not any(words in text for words in _OFFLINE):
        return ""
    skip = skipping(job.notebook, Path(job.root))
    return f"; it asks for the network, and what it asks for was out of reach: run it where that is there, or {skip}"


def _library_advice(job: Job, text: str) -> str:
    found = _NO_LIBRARY.search(text)
    if found is None:
        return ""
    skip = skipping(job.notebook, Path(job.root))
    return f"; no library {found['library']} is on the machine: install the system's package that has it, or {skip}"


def _file_advice(job: Job, evalue: str, traceback: str) -> str:
    """Say where in the project a file of that name lies, or that none does; or that a program is missing."""
    found = _NO_FILE.search(evalue)
    if found is None:
        return ""
    root, path = Path(job.root), Path(found["path"])
    skip = skipping(job.notebook, root)
    if "subprocess.py" in traceback and len(path.parts) == 1:
        return f"; no program {path} is on the PATH: install it on the machine, or {skip}"
    if path.is_absolute() and not path.is_relative_to(root):
        return ""
    places = _files_named(root, path.name)
    if not places:
        return f"; the project has no file {path.name}: put it there, or {skip}"
    folder = Path(job.notebook).parent
    if len(places) > 1 or os.path.normpath(folder / path) == places[0]:
        return ""
    here = "the project's root folder" if folder == Path() else folder.as_posix()
    return f"; a notebook runs in its own folder, here {here}, and the project has that file as {places[0]}"


def _files_named(root: Path, name: str) -> list[str]:
    """Return the paths of the project's files and folders of a name, relative to its root."""
    found = []
    for folder, inner, files in islice(os.walk(root), _MOST_FOLDERS):
        inner[:] = [each for each in inner if not is_skipped(each)]
        if name in files or name in inner:
            found.append(Path(folder, name).relative_to(root).as_posix())
    return found
