"""The hashes that requirements give, kept: an environment's lock has no others of what they pin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from packaging.utils import canonicalize_name

from envsolver.core.errors import UnsolvableError
from envsolver.core.notebooks import Requirement
from envsolver.resolver.requirement_text import parse

_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==")
_HASH = re.compile(r"--hash=(\S+)")


def with_given_hashes(text: str, requirements: Iterable[Requirement]) -> str:
    """Return a lock's text with no other hashes of a package than those that its requirement gives, where it gives any.

    Raises
    ------
    UnsolvableError
        What was solved has none of them.
    """
    given = {str(canonicalize_name(parsed.name)): r for r in requirements if r.hashes and (parsed := parse(r.text))}
    if not given:
        return text
    return "\n".join(_checked(block, given) for block in re.split(r"\n(?=\S)", text))


def _checked(block: str, given: Mapping[str, Requirement]) -> str:
    """Return a package's lines of a lock, its hashes among those that are given."""
    pin, found = _PIN.match(block), _HASH.findall(block)
    asked = given.get(canonicalize_name(pin[1])) if pin and found else None
    if asked is None:
        return block
    kinds = {each.partition(":")[0] for each in found}
    # One of a kind that the lock lacks is checked by uv when it installs.
    good = [each for each in asked.hashes if each in found or each.partition(":")[0] not in kinds]
    head = block.splitlines()[0].rstrip(" \\")
    if not good:
        raise UnsolvableError(
            f"{head} has none of the hashes that {asked.origin} gives", tip="Correct the hashes, or leave them out."
        )
    return " \\\n".join([head, *(f"    --hash={each}" for each in good)]) + ("\n" if block.endswith("\n") else "")
