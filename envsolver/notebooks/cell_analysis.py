"""Find out what a code cell imports, installs and sets up, from its source alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from envsolver.core.parsing import ODD_INPUT
from envsolver.notebooks.conditions import (
    Context,
    branches,
    catches_import_error,
    gives_up,
    only_tells_to_install,
    suppresses_import_error,
)
from envsolver.notebooks.findings import CellFindings, Command, ImportStatement, NotebookState
from envsolver.notebooks.ipython_syntax import ESCAPE_NAME, Escape, PythonText, parse_cell, parse_imports, read_lines
from envsolver.notebooks.path_expressions import path_tail, path_value
from envsolver.notebooks.prefilter import flags_of, signs_of
from envsolver.notebooks.shell import simple_commands

_AS = r"[\w.]+(?:[ \t]+as[ \t]+\w+)?"
_IMPORT_LINE = re.compile(rf"([ \t]*)(?:import[ \t]+({_AS}(?:[ \t]*,[ \t]*{_AS})*)|from[ \t]+(\w[\w.]*)[ \t]+import\b)")
_ESCAPE_LINE = re.compile(r"[ \t]*([!%])(?![!%])(.*)")
_GUARD_LINE = re.compile(r"([ \t]*)(?:try|except\b.*|else|finally)[ \t]*:")
_BUILT_IN_EXTENSIONS = frozenset({"autoreload", "storemagic"})
_MAGIC_IMPORTS = {
    "matplotlib": ("matplotlib",),
    "pylab": ("numpy", "matplotlib"),
    "cython": ("Cython",),
    "R": ("rpy2",),
}
_COMMANDS = frozenset({"system", "run", "call", "check_call", "check_output", "Popen", "getoutput", "main"})


def analyse_cell(
    source: str, surroundings: NotebookState, *, thorough: bool = False, may_fail: bool = False
) -> CellFindings:
    """Find what a code cell of a Python notebook does that concerns its environment; never raises.

    Parameters
    ----------
    source
        The cell's source, with IPython syntax.
    surroundings
        What earlier cells did; this cell's doings are added.
    thorough
        Look at every expression, even where the source shows no sign that this is needed.
    may_fail
        The notebook goes on when the cell raises, so that it needs nothing of what the cell asks for.
    """
    surroundings.flags.update(flags_of(source))
    signs = signs_of(source)
    deep = thorough or signs.expressions
    if not (deep or signs.imports or signs.escapes):
        return CellFindings()
    cell = parse_cell(source) if deep or signs.escapes else parse_imports(source)
    context = Context(optional=may_fail, guarded=may_fail)
    try:
        return _Analysis(cell, surroundings, context, deep=deep).run()
    except ODD_INPUT:
        # An expression can be nested deeper than Python recurses; what the lines show is all that can be known.
        return _Analysis(read_lines(source), surroundings, context, deep=deep).run()


class _Analysis:
    """One pass over one cell."""

    def __init__(self, cell: PythonText, surroundings: NotebookState, context: Context, *, deep: bool) -> None:
        self.cell = cell
        self.surroundings = surroundings
        self.deep = deep
        self.context = context
        self.findings = CellFindings()

    def run(self) -> CellFindings:
        """Return the findings."""
        for escape in self.cell.escapes:
            if escape.kind == "cell":
                self._cell_magic(escape)
            elif escape.kind == "script":
                self._command(escape.text, escape.line, self.context)
        if self.cell.tree is None:
            self._lines()
            return self.findings
        # An explicit stack, because expressions in notebooks can be nested deeper than Python recurses.
        stack: list[tuple[ast.AST, Context]] = [(self.cell.tree, self.context)]
        while stack:
            node, context = stack.pop()
            stack.extend(reversed(list(self._visit(node, context))))
        return self.findings

    def _visit(self, node: ast.AST, context: Context) -> Iterator[tuple[ast.AST, Context]]:
        """Analyse one node; return what is to be visited below it, and under which conditions."""
        match node:
            case ast.Import() | ast.ImportFrom():
                self._import(node, context)
            case ast.If():
                yield from self._if(node, context)
            case ast.Try():
                yield from self._try(node, context)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                below = replace(context, deferred=True)
                for child in self._children(node):
                    yield child, context if child in node.decorator_list else below
            case ast.With() if suppresses_import_error(node):
                yield from ((child, replace(context, optional=True)) for child in node.body)
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=int() as index)]) if name == ESCAPE_NAME:
                self._escape(self.cell.escapes[index], context)
            case _:
                if self.deep:
                    self._effects(node, context)
                yield from ((child, context) for child in self._children(node))

    def _import(self, node: ast.Import | ast.ImportFrom, context: Context) -> None:
        names = tuple(alias.name for alias in node.names)
        if isinstance(node, ast.Import):
            for name in names:
                self._mention(name, node.lineno, context)
        else:
            self._mention(node.module or "", node.lineno, context, names, node.level)

    def _children(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes below one: all of them, or only statements and IPython's lines."""
        if self.deep:
            yield from ast.iter_child_nodes(node)
            return
        for name in ("value", "body", "orelse", "finalbody", "handlers", "cases"):
            below = getattr(node, name, None)
            if isinstance(below, list):
                yield from below
            elif isinstance(below, ast.Call):
                yield below

    def _if(self, node: ast.If, context: Context) -> Iterator[tuple[ast.AST, Context]]:
        yield from ((child, context) for child in ([node.test] if self.deep else []))
        then, otherwise = branches(node.test, context, self.surroundings.flags)
        if then is not None:
            yield from ((child, then) for child in node.body)
        if otherwise is not None:
            yield from ((child, otherwise) for child in node.orelse)

    def _try(self, node: ast.Try, context: Context) -> Iterator[tuple[ast.AST, Context]]:
        catching = [handler for handler in node.handlers if catches_import_error(handler)]
        # A notebook that installs what is missing, or gives up, does need it.
        needed = not catching or any(
            self._installs(handler) or gives_up(handler) or only_tells_to_install(node, handler) for handler in catching
        )
        inner = context if needed else replace(context, optional=True, guarded=True)
        yield from ((child, inner) for child in [*node.body, *node.orelse])
        for handler in node.handlers:
            coping = handler in catching and not self._installs(handler)
            below = replace(context, optional=context.optional or coping, guarded=True)
            yield from ((child, below) for child in handler.body)
        yield from ((child, context) for child in node.finalbody)

    def _installs(self, handler: ast.ExceptHandler) -> bool:
        """Return whether a handler installs what was missing."""
        for node in ast.walk(handler):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=int() as index)]) if name == ESCAPE_NAME:
                    text = self.cell.escapes[index].text
                case ast.Call():
                    text = _command_text(node) or ""
                case _:
                    continue
            if "install" in text:
                return True
        return False

    def _mention(self, module: str, line: int, context: Context, names: tuple[str, ...] = (), level: int = 0) -> None:
        # A function that asks for Colab is called there alone.
        optional = context.optional or (context.deferred and module.startswith("google.colab"))
        self.findings.mentions.append(
            ImportStatement(
                module=module, line=line, names=names, optional=optional, level=level, deferred=context.deferred
            )
        )

    def _command(self, text: str, line: int, context: Context) -> None:
        if "install" in text:
            command = Command(text=text, line=line, cwd=self.surroundings.cwd, guarded=context.guarded)
            self.findings.commands.append(command)

    def _effects(self, node: ast.AST, context: Context) -> None:
        """Take in what one expression or assignment does to paths, variables, imports and the environment."""
        match node:
            case ast.Call():
                self._call(node, context)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                path = path_value(value, self.surroundings.names, self.surroundings.cwd)
                if path is not None:
                    self.surroundings.names[name] = path
            case ast.AugAssign(target=target, value=ast.List(elts=entries)) if _is_attribute(target, "path"):
                self._search(entries)

    def _call(self, node: ast.Call, context: Context) -> None:
        """Take in what a call does."""
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        owner = function.value if isinstance(function, ast.Attribute) else None
        constant = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if name in {"import_module", "__import__"}:
            if isinstance(constant, str) and re.fullmatch(r"\w[\w.]*", constant):
                self._mention(constant, node.lineno, context)
        elif name in {"append", "insert", "extend"} and _is_attribute(owner, "path"):
            last = node.args[-1:]
            self._search(last[0].elts if last and isinstance(last[0], (ast.List, ast.Tuple)) else last)
        elif name == "addsitedir":
            self._search(node.args[:1])
        elif name == "chdir" and node.args:
            self._chdir(node.args[0])
        elif text := _command_text(node):
            self._command(text, node.lineno, context)

    def _search(self, entries: Sequence[ast.expr]) -> None:
        """Note directories that are put on `sys.path`."""
        for entry in entries:
            path = path_value(entry, self.surroundings.names, self.surroundings.cwd)
            if path is not None:
                self.surroundings.search_path.append(self.surroundings.absolute(path))
            elif tail := path_tail(entry, self.surroundings.names, self.surroundings.cwd):
                self.surroundings.search_tails.append(tail)

    def _chdir(self, target: ast.expr) -> None:
        path = path_value(target, self.surroundings.names, self.surroundings.cwd)
        if path is not None:
            self.surroundings.move(path)

    def _cell_magic(self, escape: Escape) -> None:
        """Take in a ``%%`` line."""
        name, _, rest = escape.text.partition(" ")
        if name in {"writefile", "file"}:
            self.findings.written.extend(word for word in rest.split()[-1:] if not word.startswith("-"))
        for module in _MAGIC_IMPORTS.get(name, ()):
            self._mention(module, escape.line, self.context)

    def _escape(self, escape: Escape, context: Context) -> None:
        """Take in one of IPython's lines."""
        if escape.kind == "shell":
            self._command(escape.text, escape.line, context)
        elif escape.kind == "magic":
            self._magic(escape, context)

    def _magic(self, escape: Escape, context: Context) -> None:
        name, _, rest = escape.text.partition(" ")
        arguments = rest.split("#")[0].split()
        if name in {"pip", "pip3", "uv", "conda", "mamba", "micromamba"}:
            self._command(escape.text, escape.line, context)
        elif name == "cd" and len(arguments) == 1 and not arguments[0].startswith("-"):
            self.surroundings.move(arguments[0].strip("'\""))
        elif name in {"load_ext", "reload_ext"} and arguments and arguments[0] not in _BUILT_IN_EXTENSIONS:
            self._mention(arguments[0], escape.line, context)
        elif name == "run":
            self._run(rest, escape.line, context)
        if name == "matplotlib" and not {"widget", "ipympl"}.isdisjoint(arguments):
            self._mention("ipympl", escape.line, context)
        for module in _MAGIC_IMPORTS.get(name, ()):
            self._mention(module, escape.line, context)

    def _run(self, arguments: str, line: int, context: Context) -> None:
        """Take in a ``%run``: of a script, of a notebook, or with ``-m`` of a module."""
        words = next((list(command.words) for command in simple_commands(arguments)), [])
        while words and words[0].startswith("-"):
            option = words.pop(0)
            if option == "-m" and words:
                self._mention(words[0], line, context)
                return
            if option in {"-N", "-l", "-s", "-T"} and words:
                words.pop(0)
        if words:
            self.findings.ran.append(self.surroundings.absolute(words[0]))

    def _lines(self) -> None:
        """Find imports and installs line by line, in a cell that is not Python even without its IPython syntax."""
        known = {escape.line: escape for escape in self.cell.escapes}
        guard: int | None = None
        for number, line in self.cell.plain_lines:
            indent = len(line) - len(line.lstrip())
            if guard is not None and line.strip() and indent <= guard:
                guard = None
            if opened := _GUARD_LINE.match(line):
                guard = len(opened[1])
            if found := _IMPORT_LINE.match(line):
                context = replace(
                    self.context, optional=self.context.optional or (guard is not None and indent > guard)
                )
                for module in [found[3]] if found[3] else re.split(r"[ \t]*,[ \t]*", found[2]):
                    self._mention(module.split()[0], number, context)
            if escape := known.get(number) or _escape_of_line(line, number):
                self._escape(escape, replace(self.context, guarded=self.context.guarded or indent > 0))


def _escape_of_line(line: str, number: int) -> Escape | None:
    """Return IPython's line that stands where an open bracket hid it."""
    found = _ESCAPE_LINE.match(line)
    if found is None:
        return None
    kind: Literal["magic", "shell"] = "shell" if found[1] == "!" else "magic"
    return Escape(kind=kind, text=found[2], line=number)


def _is_attribute(node: ast.AST | None, name: str) -> bool:
    """Return whether a node is ``sys.path`` or the bare name taken out of its module."""
    match node:
        case ast.Attribute(attr=attribute):
            return attribute == name
        case ast.Name(id=identifier):
            return identifier == name
    return False


def _command_text(node: ast.Call) -> str | None:
    """Return the command that a call such as ``os.system("pip install x")`` runs, as one text."""
    function = node.func
    if not isinstance(function, ast.Attribute) or not node.args:
        return None
    if function.attr == "run_line_magic":
        words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        return " ".join(str(word) for word in words)
    if function.attr not in _COMMANDS:
        return None
    match node.args[0]:
        case ast.Constant(value=str() as text):
            return text
        case ast.List(elts=parts):
            prefix = "pip " if function.attr == "main" else ""
            return prefix + " ".join(_word(part) for part in parts)
    return None


def _word(node: ast.expr) -> str:
    """Return one argument of a command; what is not a constant text stays open, as IPython would write it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return f'"{node.value}"'
    return f"{{{ast.unparse(node)}}}"
