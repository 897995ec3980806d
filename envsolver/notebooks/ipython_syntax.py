"""Turn a cell's source, which may hold IPython syntax, into Python text with the same line numbers.

Each line that is IPython's own becomes a call of `ESCAPE_NAME` with the number of its `Escape`, so that a syntax
tree shows under which conditions it runs. IPython itself is not needed.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from typing import Literal

from envsolver.core.parsing import MalformedError, parse_python
from envsolver.notebooks.prefilter import importing_part

ESCAPE_NAME = "_envsolver_escape_"

_SHELLS = frozenset({"bash", "sh", "zsh", "!", "sx", "system", "script"})
_PYTHON_MAGICS = frozenset({
    "time", "timeit", "capture", "prun", "python", "python3", "memit", "mprun", "lprun", "snakeviz", "scalene", "heat",
    "debug", "px", "pypy", "skip", "notify", "wandb", "ai_debug", "mypy", "typecheck", "run_pytest", "ipytest",
})  # fmt: skip
_TIMERS = re.compile(
    r"%{1,2}(?:time|timeit|prun|memit|lprun|mprun|snakeviz)\b(?:[ \t]+-[nrpltTDsf][ \t]*\S+|[ \t]+-{1,2}[A-Za-z]+)*"
)
_CELL_MAGIC = re.compile(r"%%([\w!.]+)[ \t]*(.*)")
_ASSIGNED = re.compile(r"([ \t]*[\w.\[\]'\", *()]+?[ \t]*=[ \t]*)([%!](?![=%]).*)", re.DOTALL)
_HELP = re.compile(r"[ \t]*(?:[\w.]+[ \t]*=[ \t]*)?%{0,2}[\w.*\[\]]+[ \t]*\?{1,2}[ \t]*")
_AUTOMAGIC = re.compile(
    r"[ \t]*(?:(?:pip3?|conda|mamba|micromamba|uv)[ \t]+\w"
    r"|(?:cd|ls|pwd|mkdir|cp|mv|rm|cat|env|set_env|load_ext|matplotlib|run|time|timeit|autoreload|config|whos?|reset)"
    r"(?:[ \t]+[\w.$~/'\"-]|[ \t]*$))"
)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d+\]:)(?: |$)", re.MULTILINE)
_TOKEN = re.compile(
    r'"""|' + r"'''" + r"""|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|#.*|[(\[{]|[)\]}]""",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Escape:
    """One piece of IPython syntax."""

    kind: Literal["magic", "cell", "shell", "script", "other"]
    """``magic`` and ``cell`` with the text after ``%`` and ``%%``, ``shell`` with the shell's text, ``script`` with the
    text of a whole cell for the shell, ``other`` for help and the like. Lines joined with a backslash are one text."""
    text: str
    line: int
    """Where its text begins in the cell, counted from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonText:
    """A cell as Python: its tree, or its lines when it cannot be parsed, and what it held of IPython's syntax."""

    tree: ast.Module | None
    escapes: tuple[Escape, ...] = ()
    plain_lines: tuple[tuple[int, str], ...] = ()
    """For a cell without a tree: its lines by number, without those inside of strings."""


def parse_cell(source: str) -> PythonText:
    """Parse a code cell of a Python notebook; never raises."""
    source = _unix(source)
    if not source.lstrip().startswith("%%") and (tree := _parse(source)) is not None:
        return PythonText(tree=tree)
    escapes: list[Escape] = []
    lines = _body_of_cell_magics(_without_decoration(source).split("\n"), escapes)
    for automagic in (False, True):
        found = list(escapes)
        text, plain = _translated(lines, found, automagic=automagic)
        if (tree := _parse(text)) is not None:
            return PythonText(tree=tree, escapes=tuple(found))
    return PythonText(tree=None, escapes=tuple(found), plain_lines=tuple(plain))


def read_lines(source: str) -> PythonText:
    """Return a cell as its lines, without a tree; for one whose tree is deeper than Python recurses."""
    escapes: list[Escape] = []
    lines = _body_of_cell_magics(_without_decoration(_unix(source)).split("\n"), escapes)
    _, plain = _translated(lines, escapes, automagic=False)
    return PythonText(tree=None, escapes=tuple(escapes), plain_lines=tuple(plain))


def parse_imports(source: str) -> PythonText:
    """Parse the part of a cell that imports; for cells without IPython syntax, which this makes much faster."""
    tree = _parse(importing_part(source))
    return parse_cell(source) if tree is None else PythonText(tree=tree)


def _parse(text: str) -> ast.Module | None:
    """Parse Python text, or return None: a cell may be anything."""
    try:
        return parse_python(text)
    except MalformedError:
        return None


def _unix(source: str) -> str:
    return source.replace("\r\n", "\n").replace("\r", "\n")


def _without_decoration(source: str) -> str:
    """Remove prompts and common indentation, as IPython does."""
    if source.lstrip().startswith((">>>", "In [")):
        source = _PROMPT.sub("", source)
    first = source.lstrip("\n")
    return textwrap.dedent(source) if first[:1] in {" ", "\t"} else source


def _body_of_cell_magics(lines: list[str], escapes: list[Escape]) -> list[str]:
    """Take off the cell's magics, one within the other; return its Python lines, in their places."""
    lines = list(lines)
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        magic = _CELL_MAGIC.match(line)
        if magic is None:
            break
        name, rest = magic[1], magic[2]
        escapes.append(Escape(kind="cell", text=f"{name} {rest}".strip(), line=index + 1))
        timed = _TIMERS.match(line)
        lines[index] = line[timed.end() :].lstrip() if timed else ""
        if name in _SHELLS and (name != "script" or re.match(r"(?:\S*/)?(?:ba|z)?sh\b", rest)):
            escapes.append(Escape(kind="script", text="\n".join(lines[index + 1 :]), line=index + 2))
            return []
        if name not in _PYTHON_MAGICS:
            return []
        if timed and lines[index]:
            break
    return lines


def _translated(lines: list[str], escapes: list[Escape], *, automagic: bool) -> tuple[str, list[tuple[int, str]]]:
    """Replace IPython's lines; return the Python text and the numbered lines that begin outside of strings."""
    result: list[str] = []
    plain: list[tuple[int, str]] = []
    state = _Open()
    index = 0
    while index < len(lines):
        line = lines[index]
        if not state.quote:
            plain.append((index + 1, line))
        if state.inside or not _starts_escape(line, automagic=automagic):
            result.append(line)
            state.feed(line)
            index += 1
            continue
        joined, count = _joined(lines, index)
        result.append(_replacement(joined, index + 1, escapes))
        result.extend([""] * (count - 1))
        index += count
    return "\n".join(result), plain


def _joined(lines: list[str], index: int) -> tuple[str, int]:
    """Join a line with those that it continues on by a backslash; return also how many there are."""
    count = 1
    parts = [lines[index]]
    while parts[-1].endswith("\\") and index + count < len(lines):
        parts[-1] = parts[-1][:-1]
        parts.append(lines[index + count])
        count += 1
    return " ".join(parts), count


def _starts_escape(line: str, *, automagic: bool) -> bool:
    """Return whether a line that starts a statement is IPython's."""
    stripped = line.lstrip()
    if not stripped or stripped[0] == "#":
        return False
    if stripped[0] in "%!?,;/":
        return True
    if ("?" in line and _HELP.fullmatch(line)) or (automagic and _AUTOMAGIC.match(line)):
        return True
    return ("%" in line or "!" in line) and _ASSIGNED.fullmatch(line) is not None


def _replacement(line: str, number: int, escapes: list[Escape]) -> str:
    """Return Python text for one of IPython's lines, and note what it was."""
    stripped = line.lstrip()
    indent = line[: len(line) - len(stripped)]
    if timed := _TIMERS.match(stripped):
        return indent + (stripped[timed.end() :].strip() or "pass")
    assigned = _ASSIGNED.fullmatch(line)
    if assigned and stripped[0] not in "%!?,;/":
        indent, stripped = assigned[1], assigned[2]
    escapes.append(_escape(stripped, number))
    return f"{indent}{ESCAPE_NAME}({len(escapes) - 1})"


def _escape(text: str, number: int) -> Escape:
    """Classify one line of IPython's, which begins with its mark."""
    if _HELP.fullmatch(text):
        return Escape(kind="other", text=text, line=number)
    if text.startswith("!"):
        return Escape(kind="shell", text=text.lstrip("!"), line=number)
    magic = text.lstrip("%")
    name, _, rest = magic.partition(" ")
    if text[0] == "%" and name in {"sx", "system"}:
        return Escape(kind="shell", text=rest, line=number)
    if text[0] in "?,;/":
        return Escape(kind="other", text=text, line=number)
    return Escape(kind="magic", text=magic, line=number)


class _Open:
    """What is open at the end of the lines fed so far: a string, brackets, a backslash."""

    def __init__(self) -> None:
        self.quote = ""
        self.depth = 0
        self.continued = False

    @property
    def inside(self) -> bool:
        """Whether the next line continues a statement."""
        return bool(self.quote) or self.depth > 0 or self.continued

    def feed(self, line: str) -> None:
        """Take the next line in."""
        position = 0
        while position <= len(line):
            if self.quote:
                position = self._after_quote(line, position)
                continue
            token = _TOKEN.search(line, position)
            if token is None:
                break
            position = token.end()
            text = token[0]
            if text in {'"""', "'''"}:
                self.quote = text
            elif text in "([{":
                self.depth += 1
            elif text in ")]}":
                self.depth = max(0, self.depth - 1)
        self.continued = not self.quote and line.endswith("\\") and not line.lstrip().startswith("#")

    def _after_quote(self, line: str, position: int) -> int:
        """Return where the open string ends, or a place behind the line."""
        while (found := line.find(self.quote, position)) >= 0:
            before = line[:found]
            backslashes = len(before) - len(before.rstrip("\\"))
            if backslashes % 2 == 0:
                end = found + len(self.quote)
                self.quote = ""
                return end
            position = found + 1
        return len(line) + 1
