"""What the arguments of pip's and uv's install commands ask for: each option is honoured, harmless, or refused.

An environment is built before its notebook runs and holds what the notebook asks for, and what that needs. So options
about speed, display, what is installed already and what is left out change nothing; bounds and places that packages
come from are handed on to uv; and what would give another environment than the one that is solved for is refused, with
the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Meaning(NamedTuple):
    """What an option is about: `kind` is one of `InstallTarget`, empty where it is harmless."""

    kind: str
    valued: bool
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallTarget:
    """One thing that an install command asks for."""

    kind: str
    """``name`` for a requirement, ``directory`` for a project, ``group`` for a dependency group, ``file`` and
    ``bounds`` for files of requirements and of constraints, ``line`` for an option about which packages are taken and
    from where, ``nothing`` when the command installs nothing, ``refused`` for what cannot be."""
    text: str = ""
    """The requirement, the path, the option's value, or why it is refused."""
    option: str = ""
    """The option as uv reads it, or as it was written."""
    hashes: tuple[str, ...] = ()
    """As in `Requirement`."""


_ELSEWHERE = "it installs elsewhere than where the notebook's kernel looks"
_FOREIGN = "it installs for another interpreter than the notebook's"
_BUILDS = "it changes how packages are built, which is a setting of [tool.uv] in pyproject.toml"
_SOLVES = "it changes which versions are chosen, which is a setting of [tool.uv] in pyproject.toml"
_WHOLE = "an environment holds all that its packages need"
_EXTRAS = "extras of a project are read from a requirement such as `-e .[extra]`"

_HARMLESS_FLAGS = """
    --upgrade --quiet --verbose --user --no-user --no-cache-dir --no-cache --pre-compile --compile --no-compile
    --compile-bytecode --no-compile-bytecode --force-reinstall --ignore-installed --reinstall --refresh --exact
    --inexact --disable-pip-version-check --no-input --prefer-binary --no-warn-script-location --no-warn-conflicts
    --break-system-packages --require-hashes --no-clean --use-pep517 --no-use-pep517 --require-virtualenv --isolated
    --debug --no-color --no-python-version-warning --no-verify-hashes --verify-hashes --system --no-system --native-tls
    --offline --no-progress --no-config --managed-python --no-managed-python --strict --no-strict --yes
    --no-break-system-packages --no-require-hashes --no-python-downloads --break-system --check-build-dependencies
    --no-deps --no-dependencies --no-build-isolation
"""
_HARMLESS_VALUED = """
    --upgrade-strategy --upgrade-package --reinstall-package --refresh-package --progress-bar --proxy --retries
    --timeout --exists-action --trusted-host --allow-insecure-host --cert --client-cert --cache-dir --log --report
    --root-user-action --use-feature --use-deprecated --keyring-provider --resume-retries --src --link-mode --color
    --hash
"""
_REFUSED_FLAGS = {
    _WHOLE: "--only-deps",
    _FOREIGN: "--ignore-requires-python",
    _BUILDS: "--no-sources",
    _EXTRAS: "--all-extras",
}
_REFUSED_VALUED = {
    _ELSEWHERE: "--target --prefix --root --directory --project",
    _FOREIGN: "--python --python-version --platform --python-platform --implementation --abi",
    _BUILDS: """
        --config-settings --config-setting --global-option --install-option --build-option --build-constraint
        --build-constraints --no-build-isolation-package --config-settings-package --config-file
    """,
    _SOLVES: """
        --override --overrides --exclude --excludes --resolution --prerelease --exclude-newer --exclude-newer-package
        --index-strategy --fork-strategy --torch-backend --uploaded-prior-to --no-sources-package
    """,
    _EXTRAS: "--extra --requirements-from-script",
}
_OPTIONS = {
    **{name: Meaning("", valued=False) for name in _HARMLESS_FLAGS.split()},
    **{name: Meaning("", valued=True) for name in _HARMLESS_VALUED.split()},
    **{n: Meaning("refused", valued=False, text=why) for why, names in _REFUSED_FLAGS.items() for n in names.split()},
    **{n: Meaning("refused", valued=True, text=why) for why, names in _REFUSED_VALUED.items() for n in names.split()},
    **dict.fromkeys(("--requirement", "--requirements"), Meaning("file", valued=True)),
    **dict.fromkeys(("--constraint", "--constraints"), Meaning("bounds", valued=True)),
    **dict.fromkeys(("--index-url", "--pypi-url", "--default-index"), Meaning("line", valued=True, text="--index-url")),
    **dict.fromkeys(("--extra-index-url", "--index"), Meaning("line", valued=True, text="--extra-index-url")),
    **{name: Meaning("line", valued=True, text=name) for name in ("--find-links", "--no-binary", "--only-binary")},
    "--no-index": Meaning("line", valued=False, text="--no-index"),
    "--no-build": Meaning("line", valued=False, text="--only-binary :all:"),
    "--editable": Meaning("directory", valued=True),
    "--group": Meaning("group", valued=True),
    "--pre": Meaning("line", valued=False, text="--pre"),
    **dict.fromkeys(("--dry-run", "--help", "--version"), Meaning("nothing", valued=False)),
}
_SHORT = {
    "r": "--requirement",
    "c": "--constraint",
    "e": "--editable",
    "i": "--index-url",
    "f": "--find-links",
    "t": "--target",
    "p": "--python",
    "b": "--build-constraint",
    "C": "--config-settings",
    "P": "--upgrade-package",
    "U": "--upgrade",
    "q": "--quiet",
    "v": "--verbose",
    "I": "--ignore-installed",
    "n": "--no-cache",
    "y": "--yes",
    "h": "--help",
    "V": "--version",
}


def takes_value(option: str) -> bool:
    """Return whether a long option is followed by its value."""
    return option in _OPTIONS and _OPTIONS[option].valued


def read_arguments(arguments: Iterable[str]) -> list[InstallTarget]:
    """Return what the arguments of an install command, or an option line of a requirements file, ask for."""
    found: list[InstallTarget] = []
    waiting = iter(arguments)
    for word in waiting:
        if word == "--":
            found += [InstallTarget(kind="name", text=rest) for rest in waiting]
        elif word.startswith("--"):
            option, given, value = word.partition("=")
            found += _option(_full_name(option), value if given else None, waiting, option)
        elif word.startswith("-") and word != "-":
            found += _letters(word, waiting)
        elif word:
            found.append(InstallTarget(kind="name", text=word))
    return [] if any(target.kind == "nothing" for target in found) else found


def _letters(word: str, waiting: Iterator[str]) -> Iterator[InstallTarget]:
    """Yield what one-letter options ask for; several may stand together, the last with its value."""
    for position, letter in enumerate(word[1:], start=2):
        name = _SHORT.get(letter, "")
        rest = word[position:].removeprefix("=")
        yield from _option(name, rest or None, waiting, f"-{letter}")
        if not name or _OPTIONS[name].valued:
            return


def _full_name(option: str) -> str:
    """Return the one option that begins as a word does, as pip reads it; else the word itself."""
    alike = [name for name in _OPTIONS if name.startswith(option)]
    return alike[0] if option not in _OPTIONS and len(alike) == 1 else option


def _option(name: str, value: str | None, waiting: Iterator[str], written: str) -> Iterator[InstallTarget]:
    meaning = _OPTIONS.get(name)
    if meaning is None:
        yield InstallTarget(kind="refused", text="neither pip nor uv is known to have such an option", option=written)
        return
    kind, valued, text = meaning
    if valued and value is None:
        value = next(waiting, "")
    if name == "--prerelease" and value == "allow":
        yield InstallTarget(kind="line", option="--pre")  # uv's word for it
    elif kind == "line":
        yield InstallTarget(kind=kind, option=text, text=value or "")
    elif kind:
        yield InstallTarget(kind=kind, text=text or value or "", option=written)
