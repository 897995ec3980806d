"""The content-addressed cache of environments: build, reuse, evict.

An environment is immutable. Its key says all that it depends on: the lock's text with hashes, the interpreter,
and the uv settings that change how a package is built. It is built under a file lock and marked complete last, so that
a half-built one is never used, and two runs at once build it once. One that lost its tag, its record or packages since
is built anew.

Below the store's directory::

    environments/<key>/envsolver.json   the tag: written first; only directories that carry it are ever removed
    environments/<key>/lock.txt         what is installed
    environments/<key>/env/             the virtualenv
    environments/<key>/complete.json    written last
    environments/<key>/users/           one file for each live run that uses it
    environments/<key>.lock             held while it is checked, built or removed
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil
from platformdirs import user_cache_dir

from envsolver.core.digests import digest
from envsolver.core.environments import Environment, Lock
from envsolver.core.errors import BuildError
from envsolver.core.files import read_json, write_json
from envsolver.environments.bytecode import compiling, link_bytecode
from envsolver.environments.file_lock import BusyError, file_lock
from envsolver.environments.record import installed_names, missing_files
from envsolver.environments.source_builds import SourceBuilds
from envsolver.environments.uv import Uv
from envsolver.environments.uv_settings import building

_FORMAT = "1"
_TAG = "envsolver.json"
_COMPLETE = "complete.json"
_OWN = frozenset({_TAG, _COMPLETE, "lock.txt", "env", "users"})
_NAME = re.compile(r"[0-9a-f]{20}")
_FOREIGN_DAYS = 7
"""A run on another machine cannot be asked whether it lives; it counts as live for so many days."""


def cache_directory() -> Path:
    """Return the directory for state shared by all projects: ``ENVSOLVER_CACHE_DIR``, or the user's cache."""
    chosen = os.environ.get("ENVSOLVER_CACHE_DIR")
    return Path(chosen).expanduser().absolute() if chosen else Path(user_cache_dir("envsolver"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One environment in the cache."""

    key: str
    directory: Path
    """What is removed when it is evicted."""
    group: str
    python: str
    """The group that it was first built for, and its Python's full version."""
    packages: int = 0
    """How many packages it holds."""
    size: int = 0
    """Bytes of its files; files that it shares with uv's cache count in full. 0 unless complete."""
    built: float = 0.0
    used: float = 0.0
    """When it was built and last used, seconds since the epoch; `built` is 0 unless complete."""
    complete: bool = False
    """False for a build that never ended."""
    in_use: bool = False
    """Whether a live run uses it."""


class Store:
    """The cache of environments.

    Parameters
    ----------
    directory
        The cache's directory, such as `cache_directory()` returns.
    uv
        Builds what is missing.
    """

    def __init__(self, directory: Path, uv: Uv) -> None:
        self.directory = directory / "environments"
        self.uv = uv
        self._settings: list[str] | None = None
        self._registered: set[Path] = set()
        self._guard = threading.Lock()
        self._compiling = threading.Lock()

    def key_for(self, lock: Lock) -> str:
        """Return the key of a lock's environment, 64 hexadecimal digits; asks nothing and builds nothing."""
        python = lock.interpreter
        return digest([_FORMAT, lock.text, python.version, python.platform, python.executable, *self.settings])

    @property
    def settings(self) -> list[str]:
        """What changes how a pinned package is built, ``name=value``."""
        if self._settings is None:
            self._settings = [f"{name}={value}" for name, value in building(self.uv.settings()).items()]
        return self._settings

    def prefix_for(self, lock: Lock) -> Path:
        """Return where a lock's virtualenv is or will be; asks nothing and builds nothing."""
        return Path(lock.prefix) if lock.prefix else self._home(self.key_for(lock)) / "env"

    def ensure(self, lock: Lock, *, say: Callable[[str], None] | None = None) -> Environment:
        """Return a lock's environment, built if the cache does not have it.

        This process counts as its user from now on, until `release` or its end.

        Parameters
        ----------
        say
            Takes a line, from a thread, about what takes long.

        Raises
        ------
        BuildError
            It could not be built; the message holds uv's own words, or why the cache cannot be written.
        """
        start = time.perf_counter()
        key = self.key_for(lock)
        if lock.prefix:
            python = lock.interpreter.version
            return Environment(
                key=key, group=lock.group, python=python, prefix=Path(lock.prefix), packages=lock.packages
            )
        home, fresh = self._home(key), False
        try:
            with self._locked(home) as held:
                self._register(home)
                fresh = not _is_complete(home, key)
                if fresh:
                    self._build(home, key, lock, held, say)
                os.utime(home / _COMPLETE)
        except OSError as error:
            if not _is_complete(home, key):  # one that is there serves, though nothing can be noted of its use
                raise BuildError(
                    f"the cache of environments, {self.directory}, cannot be written: {error}",
                    tip="Let it be written and have room, or let ENVSOLVER_CACHE_DIR name another folder.",
                ) from error
        return Environment(
            key=key,
            group=lock.group,
            python=lock.interpreter.version,
            prefix=home / "env",
            packages=lock.packages,
            built=fresh,
            seconds=time.perf_counter() - start,
        )

    def has(self, lock: Lock) -> bool:
        """Return whether a lock's environment is there, ready for use."""
        key = self.key_for(lock)
        return bool(lock.prefix) or _is_complete(self._home(key), key)

    def is_broken(self, lock: Lock) -> bool:
        """Return whether a lock's environment is there, but not whole; one that is not there at all is not broken."""
        return self.prefix_for(lock).exists() and not self.has(lock)

    def discard_damaged(self, environment: Environment) -> tuple[str, ...]:
        """Return which files of an environment are gone; if any are, the next `ensure` builds it anew."""
        home = environment.prefix.parent
        with self._locked(home):
            # Some packages never had all that their record names.
            before = read_json(home / _COMPLETE).get("missing", ())
            missing = tuple(file for file in missing_files(environment.prefix) if file not in before)
            if missing:
                (home / _COMPLETE).unlink(missing_ok=True)
        return missing

    def release(self) -> None:
        """Stop being a user of the environments that this process asked for."""
        with self._guard:
            registered, self._registered = self._registered, set()
        for file in registered:
            with contextlib.suppress(OSError):  # what a run that is gone leaves there is forgotten later
                file.unlink(missing_ok=True)

    def entries(self) -> tuple[Entry, ...]:
        """Return what the cache holds, the longest unused first; directories without our tag are no part of it."""
        if not self.directory.is_dir():
            return ()
        found = [_entry(home) for home in self.directory.iterdir() if _is_ours(home)]
        return tuple(sorted(found, key=lambda entry: (entry.used, entry.key)))

    def evict(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """Remove environments and return those that were removed; those in use by live runs stay."""
        removed = []
        for entry in entries:
            with contextlib.suppress(BusyError), self._locked(entry.directory, wait=False):
                if _is_ours(entry.directory) and not _live_users(entry.directory):
                    # What marks it complete goes first, so that an interrupted removal leaves nothing to trust.
                    (entry.directory / _COMPLETE).unlink(missing_ok=True)
                    shutil.rmtree(entry.directory)
                    removed.append(entry)
        return tuple(removed)

    def _home(self, key: str) -> Path:
        # Twenty digits are plenty to distinguish environments, and keep the scripts' first lines short.
        return self.directory / key[:20]

    def _locked(self, home: Path, *, wait: bool = True) -> contextlib.AbstractContextManager[int]:
        home.parent.mkdir(parents=True, exist_ok=True)
        return file_lock(home.with_name(home.name + ".lock"), wait=wait, give_up=self.uv.check)

    def _register(self, home: Path) -> None:
        if home.is_dir() and any(home.iterdir()) and not _is_ours(home):
            raise BuildError(
                f"{home} is in the way of an environment, and is not envsolver's", tip="Move it elsewhere."
            )
        users = home / "users"
        home.mkdir(exist_ok=True)
        if not read_json(home / _TAG):
            write_json(home / _TAG, {"format": _FORMAT, "key": "", "group": "", "python": ""})
        users.mkdir(exist_ok=True)
        user = users / f"{os.getpid()}-{psutil.Process().create_time():.2f}-{socket.gethostname()}"
        user.touch()
        with self._guard:
            self._registered.add(user)

    def _build(self, home: Path, key: str, lock: Lock, held: int, say: Callable[[str], None] | None) -> None:
        prefix = home / "env"
        python = lock.interpreter
        (home / _COMPLETE).unlink(missing_ok=True)
        _remove(prefix)
        write_json(home / _TAG, {"format": _FORMAT, "key": key, "group": lock.group, "python": python.version})
        text = home / "lock.txt"
        text.write_text(lock.text, encoding="utf-8")
        start = time.time()
        try:
            self.uv.create(prefix, python.executable, hold=held)
            local = [package.name for package in lock.packages if package.version.startswith("/")]
            hashed = _all_hashed(lock.text)
            best = _pins_hashed(lock.text)
            builds = SourceBuilds(say or (lambda _: None))
            with builds.watched():
                self.uv.sync(
                    prefix, text, require_hashes=hashed, any_index=best, rebuild=local, hold=held, hear=builds.hear
                )
            self._compile(prefix, python.version, held)
        except BuildError as error:
            _remove(prefix)
            raise BuildError(
                f"the environment of group {lock.group} (Python {python.version}) could not be built:\n{error.message}",
                tip=error.tip,
            ) from error
        except BaseException:
            _remove(prefix)
            raise
        facts = {"key": key, "packages": len(lock.packages), "size": _size(prefix), "built": start}
        facts |= {"names": installed_names(prefix), "missing": missing_files(prefix)}
        write_json(home / _COMPLETE, facts)

    def _compile(self, prefix: Path, version: str, held: int) -> None:
        """Write a new environment's bytecode; one at a time, since it takes all cores and serves those that wait."""
        with self._compiling:
            tags = [tag for tag in self.directory.glob(f"*/{_TAG}") if read_json(tag).get("python") == version]
            link_bytecode(prefix, [tag.parent / "env" for tag in tags if tag.parent != prefix.parent])
            with contextlib.suppress(OSError):  # an interpreter that does not run will be found out when it is used
                self.uv.call_python(prefix, compiling(prefix), hold=held)


def _is_complete(home: Path, key: str) -> bool:
    facts = read_json(home / _COMPLETE)
    if facts.get("key") != key or read_json(home / _TAG).get("key") != key:
        return False
    # `exists` follows the link to the base interpreter: when that was deleted, the environment is of no use.
    prefix = home / "env"
    return (prefix / "bin" / "python").exists() and set(facts["names"]) <= set(installed_names(prefix))


def _is_ours(home: Path) -> bool:
    """Return whether a directory of the cache is an environment: by its tag, or if that is damaged, by its content."""
    if read_json(home / _TAG):
        return True
    try:
        return _NAME.fullmatch(home.name) is not None and _OWN.issuperset(os.listdir(home))  # noqa: PTH208  names
    except OSError:
        return False


def _entry(home: Path) -> Entry:
    tag, facts = read_json(home / _TAG), read_json(home / _COMPLETE)
    stamp = next(place for place in (home / _COMPLETE, home / _TAG, home) if place.exists())
    return Entry(
        key=tag.get("key", ""),
        directory=home,
        group=tag.get("group", ""),
        python=tag.get("python", ""),
        packages=facts.get("packages", 0),
        size=facts.get("size", 0),
        built=facts.get("built", 0.0),
        used=stamp.stat().st_mtime,
        complete=bool(facts),
        in_use=_live_users(home),
    )


def _live_users(home: Path) -> bool:
    """Return whether a live run uses an environment; forget the users that are gone."""
    live = False
    for user in sorted((home / "users").glob("*-*-*")):
        if _is_live(user):
            live = True
        else:
            user.unlink(missing_ok=True)
    return live


def _is_live(user: Path) -> bool:
    pid, created, host = user.name.split("-", 2)
    try:
        if host != socket.gethostname():
            return time.time() - user.stat().st_mtime < _FOREIGN_DAYS * 86400
        return abs(psutil.Process(int(pid)).create_time() - float(created)) < 1
    except (psutil.NoSuchProcess, OSError, ValueError):
        return False
    except psutil.AccessDenied:
        return True


def _all_hashed(text: str) -> bool:
    """Return whether every package of a lock carries a hash; local projects and repositories cannot."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return all(line.startswith((" ", "\t", "--")) or line.endswith("\\") for line in lines)


def _pins_hashed(text: str) -> bool:
    """Return whether every release that a lock pins carries a hash, so that it may come from any index."""
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith((" ", "\t", "#", "--"))]
    return all(line.endswith("\\") for line in pins)


def _size(directory: Path) -> int:
    total = 0
    for folder, _, files in os.walk(directory):
        for file in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, file)).st_size  # noqa: PTH118 many files: plain calls are faster
    return total


def _remove(directory: Path) -> None:
    if directory.is_dir() and not directory.is_symlink():
        shutil.rmtree(directory)
