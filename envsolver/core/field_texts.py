"""The docstrings under the fields of dataclasses, which no class keeps: what schemas and references say of each."""

from __future__ import annotations

import ast
import inspect
import itertools
from types import ModuleType

from envsolver.core.parsing import parse_python


def field_texts(*modules: ModuleType) -> dict[str, dict[str, str]]:
    """Return the docstrings under the fields of all classes of modules, by class and field; read from their source."""
    classes = [
        node
        for module in modules
        for node in parse_python(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    ]
    return {
        node.name: {
            field.target.id: inspect.cleandoc(text.value.value)
            for field, text in itertools.pairwise(node.body)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
        }
        for node in classes
    }
