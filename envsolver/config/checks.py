"""Check what a well-typed configuration says: files that must exist, names that must be known, forms that must hold."""

from __future__ import annotations

import datetime as dt
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from envsolver.config.faults import Key, KeyFault, nearest
from envsolver.config.warning_filters import warning_filter_fault
from envsolver.core.globs import is_glob
from envsolver.core.parsing import MalformedError, parse_specifiers
from envsolver.core.settings import Config, GroupSettings, NotebookSettings, ServiceSettings

_GROUP_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PASSED_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?|\*")
_PYTHON = re.compile(r"3\.\d{1,2}(?:\.\d{1,2})?")
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def semantic_faults(config: Config) -> list[KeyFault]:
    """Return every fault of a configuration whose types are right; `config.root` must be set."""
    return [
        *_python_faults(config.python),
        *_glob_faults(("notebooks",), config.notebooks, config),
        *_glob_faults(("exclude",), config.exclude, config),
        *_written_faults(("booktests",), config.booktests, config.booktests, config),
        *_variable_faults(("env",), config.env),
        *_pass_env_faults(config.pass_env),
        *_module_faults(config.modules),
        *_date_faults(config.exclude_newer),
        *_group_faults(config),
        *_service_faults(config.services),
        *_notebook_faults((), config.notebook, config),
        *_strategy_faults(config),
    ]


def _python_faults(versions: tuple[str, ...]) -> Iterator[KeyFault]:
    for index, version in enumerate(versions):
        if not _PYTHON.fullmatch(version):
            yield KeyFault(key=("python",), text=f'"{version}" is not a Python version such as "3.11" or "3.11.4"')
        elif version in versions[:index]:
            yield KeyFault(key=("python",), text=f'"{version}" is named twice')


def _glob_faults(key: Key, globs: Iterable[str], config: Config) -> Iterator[KeyFault]:
    for glob in globs:
        if problem := _path_problem(glob):
            yield KeyFault(key=key, text=problem)
        elif not is_glob(glob) and not glob.endswith("/") and (config.root / glob).is_dir():
            text = f'"{glob}" is a directory, which no glob of notebooks matches; write "{glob}/**"'
            yield KeyFault(key=key, text=text)


def _path_problem(path: str) -> str:
    """Say what is wrong with a path or glob that must be relative to the root, or an empty text."""
    if not path.strip():
        return "holds an empty text"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", path):
        return f'"{path}" is absolute; write it relative to the project\'s root'
    if ".." in path.split("/"):
        return f'"{path}" leads out of the project; paths are relative to its root and hold no ".."'
    if "\\" in path:
        return f'"{path}" holds a backslash; write paths with forward slashes'
    return ""


def _written_faults(key: Key, path: str, directory: str, config: Config) -> Iterator[KeyFault]:
    """Yield why a path, below whose `directory` files are written, may not be in a configuration."""
    if problem := _path_problem(path):
        yield KeyFault(key=key, text=problem)
    elif not (config.root / directory).resolve().is_relative_to(config.root):
        yield KeyFault(key=key, text=f'"{path}" leads out of the project by a link, and files are written there')


def _variable_faults(key: Key, variables: Mapping[str, str]) -> Iterator[KeyFault]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            yield KeyFault(key=(*key, name), text="is not a name that an environment variable can have")
        elif "\0" in value:
            yield KeyFault(key=(*key, name), text="holds a null character, which no environment variable can")


def _pass_env_faults(names: tuple[str, ...]) -> Iterator[KeyFault]:
    for name in names:
        if not _PASSED_VARIABLE.fullmatch(name):
            text = f'"{name}" is not the name of an environment variable; a `*` may stand at its end'
            yield KeyFault(key=("pass-env",), text=text)


def _module_faults(modules: Mapping[str, str]) -> Iterator[KeyFault]:
    for module, distribution in modules.items():
        if not _MODULE.fullmatch(module):
            yield KeyFault(key=("modules", module), text="is not a name that can be imported")
        if not _DISTRIBUTION.fullmatch(distribution):
            yield KeyFault(key=("modules", module), text=f'"{distribution}" is not the name of a distribution')


def _date_faults(text: str | None) -> Iterator[KeyFault]:
    if text is None:
        return
    form = "is not a date such as 2025-06-30, or a time such as 2025-06-30T12:00:00Z (RFC 3339)"
    try:
        if _DATE.fullmatch(text):
            dt.date.fromisoformat(text)
            return
        moment = dt.datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
    except ValueError:
        yield KeyFault(key=("exclude-newer",), text=f'"{text}" {form}')
        return
    if moment.tzinfo is None:
        yield KeyFault(key=("exclude-newer",), text=f'"{text}" has no time zone; put a Z at its end for UTC')


def _group_faults(config: Config) -> Iterator[KeyFault]:
    for name, group in config.groups.items():
        key = ("groups", name)
        if not _GROUP_NAME.fullmatch(name):
            text = f'"{name}" cannot name a group; use letters, digits, ".", "-" and "_"'
            yield KeyFault(key=key, text=text)
        yield from _one_group_faults(key, group, config)


def _one_group_faults(key: Key, group: GroupSettings, config: Config) -> Iterator[KeyFault]:
    yield from _content_faults(key, group)
    # The lock is written beside it.
    place = PurePosixPath(group.requirements).parent.as_posix()
    if not group.requirements:
        pass
    elif faults := list(_written_faults((*key, "requirements"), group.requirements, place, config)):
        yield from faults
    elif not (config.root / group.requirements).is_file():
        yield KeyFault(key=(*key, "requirements"), text=f"the file {group.requirements} does not exist")
    for service in group.services:
        if service not in config.services:
            text = f'no service is called "{service}"{nearest(service, config.services)}'
            yield KeyFault(key=(*key, "services"), text=text)
    yield from _glob_faults((*key, "notebooks"), group.notebooks, config)
    yield from _variable_faults((*key, "env"), group.env)
    yield from _filter_faults(key, group.warnings)
    yield from _specifier_faults(key, group.requires_python)


def _content_faults(key: Key, group: GroupSettings) -> Iterator[KeyFault]:
    """Yield why the keys that say what a group holds cannot stand together."""
    written = {"dependency-groups": group.dependency_groups, "extras": group.extras, "lock": group.lock == "uv.lock"}
    if group.prefix and (group.requirements or any(written.values())):
        text = "cannot stand beside what else says what the group holds: the environment is used as it is"
        yield KeyFault(key=(*key, "prefix"), text=text)
    for name in (name for name, value in written.items() if value and group.requirements):
        text = "cannot stand beside `requirements`: a group is either a file or sets of pyproject.toml"
        yield KeyFault(key=(*key, name), text=text)


def _filter_faults(key: Key, filters: Iterable[str]) -> Iterator[KeyFault]:
    for text in filters:
        if fault := warning_filter_fault(text):
            yield KeyFault(key=(*key, "warnings"), text=f'"{text}" {fault}')


def _specifier_faults(key: Key, text: str | None) -> Iterator[KeyFault]:
    if text is None:
        return
    try:
        parse_specifiers(text)
    except MalformedError:
        problem = f'"{text}" is not a set of version specifiers such as ">=3.10,<3.13" (PEP 440)'
        yield KeyFault(key=(*key, "requires-python"), text=problem)


def _service_faults(services: Mapping[str, ServiceSettings]) -> Iterator[KeyFault]:
    for name, service in services.items():
        key = ("services", name)
        if not _GROUP_NAME.fullmatch(name):
            text = f'"{name}" cannot name a service; use letters, digits, ".", "-" and "_"'
            yield KeyFault(key=key, text=text)
        if "{port}" not in service.command and service.ready is None:
            text = "holds no {port}, and there is no `ready` address, so nothing shows when the service is up"
            yield KeyFault(key=(*key, "command"), text=text)
        if service.ready is not None and not _is_url(service.ready):
            text = f'"{service.ready}" is not an http address such as "http://127.0.0.1:{{port}}/"'
            yield KeyFault(key=(*key, "ready"), text=text)
        yield from _variable_faults((*key, "env"), service.env)


def _is_url(text: str) -> bool:
    """Return whether a text is an address that can be asked, whatever its port will be."""
    try:
        parts = urlsplit(text.replace("{port}", "1"))
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _notebook_faults(prefix: Key, entries: Mapping[str, NotebookSettings], config: Config) -> Iterator[KeyFault]:
    for path, settings in entries.items():
        key = (*prefix, "notebook", path)
        if problem := _path_problem(path):
            yield KeyFault(key=key, text=problem)
        elif not (config.root / path).is_file() and not is_glob(path):
            yield KeyFault(key=key, text=f"no such notebook{nearest(path, _beside(path, config.root))}")
        yield from _settings_faults(key, settings, config)


def _beside(path: str, root: Path) -> list[str]:
    """Return the notebooks of the folder in which a path lies, as paths of the project."""
    folder = PurePosixPath(path).parent
    return [str(folder / each.name) for each in (root / folder).glob("*.ipynb")]


def _settings_faults(key: Key, settings: NotebookSettings, config: Config) -> Iterator[KeyFault]:
    if settings.group is not None and settings.group not in config.groups:
        text = f'no group is called "{settings.group}"{nearest(settings.group, config.groups)}'
        if not config.groups:
            text += "; the configuration has no groups yet: `envsolver init` shows how they are written"
        yield KeyFault(key=(*key, "group"), text=text)
    for name in settings.parameters:
        if not name.isidentifier() or keyword.iskeyword(name):
            yield KeyFault(key=(*key, "parameters", name), text="is not a name that Python can assign to")
    yield from _variable_faults((*key, "env"), settings.env)
    yield from _filter_faults(key, settings.warnings or ())
    yield from _specifier_faults(key, settings.requires_python)
    if settings.before is not None:
        if problem := _path_problem(settings.before):
            yield KeyFault(key=(*key, "before"), text=problem)
        elif not (config.root / settings.before).is_file():
            yield KeyFault(key=(*key, "before"), text=f"the file {settings.before} does not exist")


def _strategy_faults(config: Config) -> Iterator[KeyFault]:
    if config.strategy and config.strategy not in config.strategies:
        text = f'no strategy is called "{config.strategy}"{nearest(config.strategy, config.strategies)}'
        yield KeyFault(key=("strategy",), text=text)
    for name, strategy in config.strategies.items():
        key = ("strategies", name)
        if not _GROUP_NAME.fullmatch(name):
            text = f'"{name}" cannot name a strategy; use letters, digits, ".", "-" and "_"'
            yield KeyFault(key=key, text=text)
        yield from _settings_faults(key, strategy, config)
        yield from _notebook_faults(key, strategy.notebook, config)
        for group, settings in strategy.groups.items():
            if group not in config.groups:
                text = f'no group is called "{group}"{nearest(group, config.groups)}'
                yield KeyFault(key=(*key, "groups", group), text=text)
            yield from _one_group_faults((*key, "groups", group), settings, config)
