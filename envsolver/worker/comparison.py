"""Whether two executed copies of a notebook show the same, but for what no two runs have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_VOLATILE = (
    (re.compile(r"0x[0-9a-fA-F]{6,}"), "<address>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?"), "<date>"),
    (re.compile(r"\b\d\d?:\d\d(:\d\d(\.\d+)?)?\b"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)?(e[+-]?\d+)? ?(ns|[uµμ]s|ms|s|sec|secs|seconds?|min|it/s|s/it)\b"), "<duration>"),
    (re.compile(r"ipykernel_\d+"), "ipykernel_<pid>"),
)
"""What differs from run to run by itself, and what stands for it."""
_WORD = re.compile(r"[^\s\"':]+")
_MARK = "/envsolver-"
_PRIVATE = re.compile(r"/[^\s\"':]*/envsolver-[^\s\"':/]+/[^\s\"':/]+")
"""A private directory; looked for only in words with its mark, since each slash of an image's text may begin one."""


def differing_cells(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[int, tuple[str, str]]:
    """Return the cells whose outputs differ, counted from 1, with the text of both.

    Parameters
    ----------
    one, other
        Executed copies of the same notebook, as JSON has them. Addresses, dates, durations, numbers of executions and
        private directories may differ.
    """
    pairs = zip(one["cells"], other["cells"], strict=True)
    texts = (
        (number, _shown(a.get("outputs", ())), _shown(b.get("outputs", ()))) for number, (a, b) in enumerate(pairs, 1)
    )
    return {number: (a, b) for number, a, b in texts if a != b}


def first_difference(one: str, other: str, width: int = 60) -> tuple[str, str]:
    """Return the first line of each of two texts in which they differ, cut around the difference."""
    for a, b in zip([*one.splitlines(), ""], [*other.splitlines(), ""], strict=False):
        if a != b:
            place = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            start = max(0, place - width // 2)
            return a[start : start + width].strip(), b[start : start + width].strip()
    return "", ""


def _shown(outputs: Sequence[Mapping[str, Any]]) -> str:
    """Return all that outputs show as one text; pieces of a stream are put together."""
    lines: list[str] = []
    streams: dict[str, str] = {}
    for output in outputs:
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + "".join(output["text"])
        elif output["output_type"] == "error":
            lines.append("\n".join(output["traceback"]))
        else:
            lines += [f"{kind}: {_text(data)}" for kind, data in sorted(output["data"].items())]
    text = "\n".join([*(f"{name}: {text}" for name, text in sorted(streams.items())), *lines])
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return _WORD.sub(_without_private, text) if _MARK in text else text


def _without_private(word: re.Match[str]) -> str:
    return _PRIVATE.sub("<private>", word[0]) if _MARK in word[0] else word[0]


def _text(data: object) -> str:
    if isinstance(data, str):
        return data
    return "".join(data) if isinstance(data, list) else json.dumps(data, sort_keys=True)
