"""An executed notebook as one HTML document that is safe to show in a sandboxed frame.

The frame forbids scripts and the policy forbids everything from elsewhere; that is what protects the reader. What
could only be refused is also taken out, so that the browser's console stays empty.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from envsolver.core.redaction import redact
from envsolver.report.mathml import draw_formulas

TEXT_LIMIT = 20_000
"""Characters kept of one text output."""
DATA_LIMIT = 2_000_000
"""Characters kept of one picture or table; a larger one is left out."""
TOTAL_LIMIT = 6_000_000
"""Characters kept of all outputs of a notebook."""
FILE_LIMIT = 100_000_000
"""Bytes of a file that is still read."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_DROPPED = [
    "script", "noscript", "iframe", "frame", "frameset", "object", "embed", "applet", "link", "meta", "base",
    "portal", "audio", "video", "source", "track", "template",
]  # fmt: skip
_HARMLESS = re.compile(r"/\*.*?\*/|\"[^\"\n]*\"|'[^'\n]*'", re.DOTALL)
"""What a style sheet may hold that is no rule: comments and texts."""
_OVER_ALL = re.compile(r"url\(|position\s*:\s*(?:fixed|sticky)", re.IGNORECASE)
_ADDRESSES = ("src", "href", "xlink:href", "action", "formaction", "poster", "background", "data", "ping", "srcset")


def executed_document(path: Path) -> str:
    """Return an executed notebook as a whole HTML document; a file that cannot be shown becomes a note that says so."""
    try:
        if path.stat().st_size > FILE_LIMIT:
            return _document(f"<p class=note>{escape(path.name)} is too large to be shown here.</p>")
        return _document(_scrub(_convert(redact(path.read_text(encoding="utf-8")))))
    except Exception as error:  # noqa: BLE001 (a notebook can hold anything; its report must come all the same)
        return _document(f"<p class=note>{escape(path.name)} cannot be shown: {escape(str(error))}</p>")


def _convert(text: str) -> str:
    """Return the notebook's cells as HTML, as nbconvert's plainest template has them."""
    import nbformat

    # Their functions have no types.
    read: Any = nbformat.reader.reads
    convert: Any = nbformat.convert

    with warnings.catch_warnings():
        # Old notebooks lack identifiers and the like; that is no matter for a report.
        warnings.simplefilter("ignore")
        notebook = convert(read(text), to_version=4)
        _cut(notebook)
        body, _ = _exporter().from_notebook_node(notebook)
    return str(body)


@cache
def _exporter() -> Any:
    """Return the exporter; it is kept, since it reads its templates anew each time it is made."""
    import nbconvert

    exporter_class: Any = nbconvert.HTMLExporter
    return exporter_class(template_name="basic", exclude_anchor_links=True)


def _cut(notebook: Any) -> None:
    """Shorten outputs to their limits, in place."""
    room = TOTAL_LIMIT
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = _cut_text(output.text)
                room -= len(output.text)
            elif output.output_type == "error":
                output.traceback = [_cut_text(line) for line in output.traceback]
            else:
                output.data, room = _cut_data(output.data, room)


def _cut_text(text: str) -> str:
    if len(text) <= TEXT_LIMIT:
        return text
    half = TEXT_LIMIT // 2
    return f"{text[:half]}\n\n… {len(text) - 2 * half} characters are left out here …\n\n{text[-half:]}"


def _cut_data(data: dict[str, Any], room: int) -> tuple[dict[str, Any], int]:
    kept = {}
    for kind, value in data.items():
        if kind in {"application/javascript", "application/vnd.jupyter.widget-view+json"}:
            continue
        if kind == "text/plain":
            kept[kind] = _cut_text(str(value))
        elif kind == "text/html" and len(value) <= min(DATA_LIMIT, room):
            kept[kind] = _closed(str(value))
            room -= len(value)
        elif len(value) <= min(DATA_LIMIT, room):
            kept[kind] = value
            room -= len(value)
        else:
            kept.setdefault("text/plain", f"an output of {len(value)} characters ({kind}) is too large to be shown")
    return kept, room


def _closed(html: str) -> str:
    """Return markup that closes what it opens, and nothing else, so that it ends no cell."""
    from bs4 import BeautifulSoup

    return str(BeautifulSoup(html, "html.parser"))


def _scrub(body: str) -> str:
    """Take out what the frame refuses: scripts, handlers, and everything from elsewhere. Mark the cell that raised."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    draw_formulas(soup)
    for element in soup.find_all(_DROPPED):
        element.decompose()
    for element in soup.find_all(True):
        for name in list(element.attrs):
            value = str(element.attrs[name])
            foreign = name.lower() in _ADDRESSES and not value.startswith("data:image/")
            if name.lower().startswith("on") or foreign or (name.lower() == "style" and _OVER_ALL.search(value)):
                del element[name]
    _scope_styles(soup)
    for error in soup.select(".output_error")[:1]:
        cell = error.find_parent(class_="code_cell")
        if cell is not None:
            cell["class"] = " ".join((*cell.get_attribute_list("class"), "fault"))
    return str(soup)


def _scope_styles(soup: Any) -> None:
    """Let the style sheets of an output, such as those of tables and drawings, reach no further than the output."""
    from bs4.element import Stylesheet

    for number, element in enumerate(soup.find_all("style")):
        owner = element.find_parent(class_=["output_area", "text_cell_render"])
        rules = element.get_text()
        if owner is None or not _is_enclosed(rules):
            element.decompose()
            continue
        owner["class"] = " ".join((*owner.get_attribute_list("class"), f"scope-{number}"))
        element.clear()
        element.append(Stylesheet(f"@scope (.scope-{number}) {{{rules}}}"))


def _is_enclosed(rules: str) -> bool:
    """Return whether braces put around a style sheet hold all of it; what is unclear counts as not."""
    plain = _HARMLESS.sub("", rules)
    if _OVER_ALL.search(plain) or any(sign in plain for sign in ("\\", '"', "'", "/*", "<")):
        return False
    depth = 0
    for brace in re.findall("[{}]", plain):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _document(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>Executed notebook</title><style>{_style()}</style></head><body>{body}</body></html>"
    )


@cache
def _style() -> str:
    return (Path(__file__).parent / "templates" / "notebook.css").read_text(encoding="utf-8")
