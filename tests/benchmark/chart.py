"""Draws the benchmark: a bar for each way to run a suite, with the spread of its times and the suite's lower bound."""

from __future__ import annotations

from html import escape
from statistics import median
from typing import Any

WIDTH, LEFT, BAR, GAP, HEAD = 760, 170, 18, 8, 34
OURS, OTHERS, INK, FAINT = "#2563eb", "#94a3b8", "#334155", "#cbd5e1"


def chart(report: dict[str, Any]) -> str:
    """Return an SVG with one panel a suite.

    Parameters
    ----------
    report
        What the benchmark writes as JSON: seconds by suite and contender.
    """
    parts: list[str] = []
    top = 10
    for suite, measured in report["suites"].items():
        drawn, height = _panel(suite, measured, top)
        parts += drawn
        top += height + 16
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="12">'
    )
    background = f'<rect width="{WIDTH}" height="{top}" fill="white"/>'
    return "\n".join([frame, background, *parts, "</svg>", ""])


def _panel(suite: str, measured: dict[str, Any], top: int) -> tuple[list[str], int]:
    bound = measured["lower_bound"]
    passed = {name: [each for each in times if each is not None] for name, times in measured["seconds"].items()}
    seconds = {name: times for name, times in passed.items() if times}
    longest = max([bound, *(max(times) for times in seconds.values())])
    scale = (WIDTH - LEFT - 60) / longest
    title = f"{suite}: {measured['notebooks']} notebooks, seconds"
    parts = [f'<text x="10" y="{top + 14}" fill="{INK}" font-weight="bold">{escape(title)}</text>']
    y = top + HEAD - 8
    for name, times in seconds.items():
        parts += _bar(name, times, y, scale)
        y += BAR + GAP
    x = LEFT + bound * scale
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + HEAD - 12}" y2="{y}" stroke="{INK}" stroke-dasharray="3 3"/>'
    note = (
        f'<text x="{x + 4:.1f}" y="{y + 4}" fill="{INK}" font-size="10">no schedule is shorter than {bound:.1f}</text>'
    )
    return [*parts, line, note], y - top


def _bar(name: str, times: list[float], y: int, scale: float) -> list[str]:
    middle = y + BAR / 2
    fill = OURS if name.startswith("envsolver") else OTHERS
    end = LEFT + median(times) * scale
    low, high = LEFT + min(times) * scale, LEFT + max(times) * scale
    return [
        f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end" fill="{INK}">{escape(name)}</text>',
        f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}" rx="3" fill="{fill}"/>',
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="{INK}" stroke-width="2"/>',
        f'<text x="{high + 6:.1f}" y="{middle + 4}" fill="{INK}">{median(times):.1f}</text>',
    ]
