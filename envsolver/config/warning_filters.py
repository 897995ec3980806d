"""Check filters of warnings, which have pytest's syntax; kernels read them in `in_environment/warned.py`."""

from __future__ import annotations

import builtins
import re

from envsolver.config.faults import nearest

ACTIONS = ("default", "always", "ignore", "module", "once", "error")
"""What a filter can do; pytest takes their beginnings too."""

_FIELDS = 5
_LATER = ("EncodingWarning",)
"""Categories that Python has from 3.10 on, so that this interpreter need not have them."""
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")


def warning_filter_fault(text: str) -> str:
    """Say what is wrong with ``action:message:category:module:line``; empty for nothing."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) > _FIELDS:
        return "has more than the five parts action:message:category:module:line"
    action, message, category, module, line = [*parts, *[""] * _FIELDS][:_FIELDS]
    if not any(name.startswith(action) for name in ACTIONS):
        return f"must begin with one of {', '.join(ACTIONS)}{nearest(action, ACTIONS)}"
    for what, pattern in (("message", message), ("module", module)):
        try:
            re.compile(pattern)
        except re.error as error:
            return f"has a {what} that is not a regular expression: {error}"
    if line and not line.isdecimal():
        return f'has the line "{line}", which is not a number'
    return _category_fault(category)


def _category_fault(name: str) -> str:
    if not name or name in _LATER or _DOTTED.fullmatch(name):
        return ""
    kinds = [key for key, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Warning)]
    if name in kinds:
        return ""
    likely = nearest(name, kinds)
    return f'names "{name}", which is no category of Python\'s own{likely}; name others with their module'
