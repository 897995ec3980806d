"""Durations, sizes and counts as people read them."""

from __future__ import annotations

_MINUTE = 60
_HOUR = 3600
_KIBI = 1024


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``0.4 s``, ``4.1 s``, ``41 s``, ``2 min 05 s``, ``1 h 02 min``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:  # noqa: PLR2004 (from here on, a tenth of a second would round to 10.0)
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // _MINUTE} h {minutes % _MINUTE:02d} min"


def clock(seconds: float) -> str:
    """Return seconds as a running clock shows them: ``0:07``, ``12:34``, ``1:02:03``."""
    whole = int(max(0.0, seconds))
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"


def size(count: int | None) -> str:
    """Return bytes as ``312 MiB`` or ``1.4 GiB``; an empty string when they are not known."""
    if count is None:
        return ""
    if count < _KIBI**2:
        return f"{count / _KIBI:.0f} KiB"
    if count < _KIBI**3:
        return f"{count / _KIBI**2:.0f} MiB"
    return f"{count / _KIBI**3:.3g} GiB"


def plural(count: int, noun: str) -> str:
    """Return ``1 notebook`` or ``3 notebooks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
