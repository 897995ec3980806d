"""From tables of profiles to a `Profile`: every key checked before anything starts, ours and the provider's alike."""

from __future__ import annotations

import math
import re
import shutil
import socket
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, get_args

from envsolver.config.faults import nearest
from envsolver.config.load import fault_in
from envsolver.config.profiles import ProfileTable, read_profiles, user_file
from envsolver.config.tables import as_python
from envsolver.config.validation import kinds_of, value_fault
from envsolver.core.errors import ConfigurationError
from envsolver.core.jobs import Cost, Job, seconds_needed
from envsolver.core.profiles import LOCAL, Placement, Profile, ProfileSettings, Sending
from envsolver.core.quantities import duration
from envsolver.core.settings import Config
from envsolver.run.parsl.addresses import address_of
from envsolver.run.parsl.providers import (
    COMMANDS,
    LIBRARIES,
    OURS,
    Parameter,
    default_walltime,
    parameters,
    rights,
    unusable,
)

VARIABLE = "ENVSOLVER_PROFILE"
"""Names the profile of a run that is started without `--profile`."""

_WALLTIME = re.compile(r"\d+:[0-5]\d:[0-5]\d", re.ASCII)

PORTS = 2
HIGHEST_PORT = 65535


def choose_profile(root: Path, name: str | None) -> Profile | None:
    """Return the profile of that name, checked; None for this machine.

    Raises
    ------
    ConfigurationError
        There is none, or with all that is wrong with it.
    """
    tables = read_profiles(root)
    if name is None or (name == LOCAL and LOCAL not in tables):
        return None
    if name not in tables:
        raise ConfigurationError(
            [f"--profile {name}: no profile is called that{nearest(name, [LOCAL, *tables])}"],
            tip=f"`envsolver profiles` lists them. Yours stand in {user_file()}.",
        )
    return _usable(tables[name])


def _usable(table: ProfileTable) -> Profile:
    """Return a profile that is right, and for which all is here that it needs."""
    profile = make_profile(table)
    key, why = unusable(profile)
    if not why:
        key, why = "interface" if profile.settings.interface else "address", _address_fault(profile)
    if why:
        raise ConfigurationError([table.fault(why, key)])
    return profile


def choose_placement(config: Config, name: str | None, groups: Collection[str] = ()) -> Placement:
    """Return under which profile the notebooks of each group run.

    Parameters
    ----------
    name
        The run's profile; ``local`` keeps all groups on this machine, None those that name no other.
    groups
        The groups that are to run; empty for all.

    Raises
    ------
    ConfigurationError
        With all that is wrong with the profiles, or when two keep environments in different folders.
    """
    default = choose_profile(config.root, name)
    own = {
        group: settings.profile
        for group, settings in config.groups.items()
        if settings.profile is not None and (not groups or group in groups)
    }
    if name == LOCAL or not own:
        return Placement(default=default)
    tables = read_profiles(config.root)
    unknown = [
        fault_in(config, ("groups", group, "profile"), f'no profile is called "{profile}"{nearest(profile, tables)}')
        for group, profile in own.items()
        if profile not in {LOCAL, *tables}
    ]
    if unknown:
        raise ConfigurationError(
            unknown,
            tip="`envsolver profiles` lists them. With `--profile local` all notebooks run on this machine.",
        )
    made: dict[str, Profile | None] = {LOCAL: None}
    made |= {profile: _usable(tables[profile]) for profile in sorted(set(own.values())) if profile in tables}
    return Placement(default=default, groups={group: made[profile] for group, profile in own.items()})


def environments_folder(placement: Placement) -> Path | None:
    """Return the folder that the profiles name for environments; None when none does.

    Raises
    ------
    ConfigurationError
        They name several, and a run has one.
    """
    named = {profile.name: profile.settings.environments for profile in placement.clusters}
    folders = {name: Path(folder).expanduser() for name, folder in named.items() if folder is not None}
    if len(set(folders.values())) > 1:
        told = ", ".join(f"{name} has {folder}" for name, folder in folders.items())
        raise ConfigurationError([f"the profiles of one run must keep `environments` in one folder: {told}"])
    return next(iter(folders.values()), None)


def make_profile(table: ProfileTable) -> Profile:
    """Check a profile's table.

    Raises
    ------
    ConfigurationError
        With every fault, each with its file and line.
    """
    faults = sorted(_faults(table), key=lambda fault: table.line(fault.key) or 0)
    if faults:
        texts = [table.fault(fault.text, fault.key) for fault in faults]
        raise ConfigurationError(texts, tip="docs/clusters.md tells envsolver's own keys; all others are Parsl's.")
    own = {each.name for each in fields(ProfileSettings)} - ({"project"} if _is_providers(table.values) else set())
    values: dict[str, Any] = {key.replace("-", "_"): as_python(value) for key, value in table.values.items()}
    settings = ProfileSettings(**{name: value for name, value in values.items() if name in own})
    options = {name: value for name, value in values.items() if name not in own}
    if (walltime := default_walltime(settings.provider)) is not None:
        options.setdefault("walltime", walltime)
    return Profile(name=table.name, settings=settings, options=options, file=table.file, folder=table.folder)


def _is_providers(values: Mapping[str, object]) -> bool:
    """Return whether `project` is the provider's key, as LSF has one for accounts, and not envsolver's."""
    return values.get("provider") == "lsf" and values.get("project", "shared") not in get_args(Sending)


class _Fault(NamedTuple):
    """What is wrong with a key; an empty key means the profile as a whole."""

    key: str
    text: str


def _faults(table: ProfileTable) -> Iterator[_Fault]:
    own, values = kinds_of(ProfileSettings), table.values
    if _is_providers(values):
        del own["project"]
    wrong = {key: text for key, kind in own.items() if key in values and (text := _own_fault(key, values[key], kind))}
    yield from (_Fault(key, text) for key, text in wrong.items())
    if "provider" not in values:
        yield _Fault("", "has no provider")
    if "address" in values and "interface" in values:
        yield _Fault("interface", "stands beside `address`, and only one of the two can count")
    provider = values.get("provider")
    if isinstance(provider, str) and "provider" not in wrong:
        try:
            known = parameters(provider, table.folder)
        except ValueError as error:
            yield _Fault("provider", f'"{provider}" {error}')
        else:
            yield from _provider_faults(values, known, own.keys())


def _provider_faults(
    values: Mapping[str, object], known: Mapping[str, Parameter], own: Collection[str]
) -> Iterator[_Fault]:
    names = {name.replace("_", "-"): name for name in known}
    for key, value in values.items():
        if key in own:
            continue
        if key.replace("-", "_") in OURS:
            yield _Fault(key, "is envsolver's to decide; see max-blocks")
        elif key not in names:
            close = nearest(key, [*names, *own])
            yield _Fault(key, f"is no key of a profile, nor one of its provider in Parsl{close}")
        elif text := value_fault(value, known[names[key]].kind):
            yield _Fault(key, text)
        elif key == "walltime" and isinstance(value, str) and not _WALLTIME.fullmatch(value):
            yield _Fault(key, f'must be hours, minutes and seconds, such as "01:30:00", not {value!r}')
    for key in [name for name in names if known[names[name]].required and name not in values]:
        yield _Fault("", f"needs {key}")
    if "cores_per_node" in known and not values.keys() & {"workers-per-node", "cores-per-node"}:
        yield _Fault("", "needs workers-per-node or cores-per-node: how many notebooks a node can run at once")


def _own_fault(key: str, value: object, kind: object) -> str:
    text = value_fault(as_python(value), kind)
    if not text and key == "ports" and isinstance(value, list):
        low, high = (*value, 0, 0)[:PORTS]
        if len(value) != PORTS or not low <= high <= HIGHEST_PORT:
            return f"must be the first and the last port, such as [54000, 54100], not {value}"
    return text


def fitting_no_block(profile: Profile, jobs: Iterable[Job], costs: Mapping[str, Cost]) -> Iterator[str]:
    """Tell of each notebook of a profile that fits in no block of it, and what walltime it needs."""
    for job in (each for each in jobs if each.profile == profile.name):
        seconds = costs[job.id].seconds if job.id in costs else None
        needed = 0.0 if seconds is None else seconds_needed(seconds, job.limits.timeout)
        if profile.walltime is not None and needed > profile.walltime:
            yield (
                f"{job.notebook} took {duration(seconds or 0)}, and a block of profile {profile.name} ends after "
                f'{duration(profile.walltime)}: it needs walltime = "{_in_whole_minutes(needed)}"'
            )


def _in_whole_minutes(seconds: float) -> str:
    """Return a walltime that is no shorter."""
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:00"


def check_profile(profile: Profile, cache: Path) -> Iterator[tuple[str, str]]:
    """Try what a profile needs on this machine.

    Parameters
    ----------
    cache
        Where environments are kept when the profile does not say.

    Yields
    ------
    tuple
        What was tried, and what is wrong with it; empty when nothing is.
    """
    for command in COMMANDS.get(profile.settings.provider, ()):
        yield f"command {command}", "" if shutil.which(command) else "is not found on PATH"
    if profile.settings.provider in LIBRARIES:
        lacks = " ".join(filter(None, unusable(profile)))
        yield "what it needs here", lacks
        where, fault = ("", "") if lacks else rights(profile)
        if where:
            yield where, fault
    if profile.settings.address or profile.settings.interface:
        yield f"address {profile.settings.address or profile.settings.interface}", _address_fault(profile)
    shared = Path(profile.settings.environments or cache).expanduser()
    yield f"folder {shared}", _folder_fault(shared)
    if (python := profile.settings.python) is not None:
        yield f"python {python}", "" if shutil.which(python) else "is no program here; on the nodes it must be one"


def _address_fault(profile: Profile) -> str:
    """Say why this machine cannot listen at a profile's address, or nothing."""
    try:
        address = address_of(profile.settings)
        with socket.socket(socket.AF_INET6 if address and ":" in address else socket.AF_INET) as listener:
            listener.bind((address or "", 0))
    except OSError as error:
        return f"cannot be listened at: {error.strerror or error}"
    return ""


def _folder_fault(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"cannot be written: {error.strerror or error}"
