"""Check quickly whether a cell needs a closer look: most cells of most notebooks import and install nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(r"^[ \t]*[%!]|=[ \t]*[%!]", re.MULTILINE)
_TOOLS = ("pip", "conda", "mamba")
_AUTOMAGICS = ("cd ", "load_ext ", "env ")
_AUTOMAGIC = re.compile(r"^[ \t]*(?:cd|load_ext|env) ", re.MULTILINE)
_WITHIN_EXPRESSIONS = (
    *("import_module", "__import__", "sys.path", "addsitedir", "chdir"),
    *("putenv", "os.system", "subprocess", "get_ipython"),
)
_ENVIRON_SET = re.compile(r"environ[ \t]*(?:\[[^\]\n]*\][ \t]*=(?!=)|\.[ \t]*(?:setdefault|update)\b)")
_FLAG = re.compile(r"^(\w+)[ \t]*=[ \t]*(True|False)[ \t]*(?:#.*)?$", re.MULTILINE)
# Where a statement begins that does not continue the one before.
_STATEMENT = re.compile(r"^(?![ \t)\]}#'\"\\]|(?:except|finally|else|elif)\b|$)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signs:
    """What a cell's source shows at a glance."""

    imports: bool
    """It may import something."""
    escapes: bool
    """It may hold IPython syntax, or run pip."""
    expressions: bool
    """Its expressions may import modules, run commands, or change paths and the environment."""


def signs_of(source: str) -> Signs:
    """Look at a cell's source; what is missed here is missed for good, so it errs on the side of a closer look."""
    escapes = ("%" in source or "!" in source) and _MARK.search(source) is not None
    return Signs(
        imports="import" in source,
        escapes=escapes
        or any(tool in source for tool in _TOOLS)
        or any(word in source and _AUTOMAGIC.search(source) is not None for word in _AUTOMAGICS),
        expressions=any(word in source for word in _WITHIN_EXPRESSIONS)
        or ("environ" in source and _ENVIRON_SET.search(source) is not None),
    )


def flags_of(source: str) -> dict[str, bool]:
    """Return the variables that a cell's lines set to plain True or False."""
    if "True" not in source and "False" not in source:
        return {}
    return {found[1]: found[2] == "True" for found in _FLAG.finditer(source)}


def importing_part(source: str) -> str:
    """Return a cell's beginning up to the end of the statement that holds the last import.

    Where the cut is wrong, within a string, what is left is no valid Python.
    """
    after = source.find("\n", source.rfind("import"))
    following = _STATEMENT.search(source, after + 1) if after >= 0 else None
    return source if following is None else source[: following.start()]
