"""Hash what a module does, from its parsed tree: what cannot change a result does not count.

Left out are comments, docstrings, formatting, blocks for type checkers, annotations that nothing reads at run time, the
order of imports from outside of this project, imports of the standard library that are then without a use, and texts
for modules that only show them, such as the label of a progress bar. What counts though it may change nothing:
annotations in class bodies, which pydantic, dataclasses and named tuples read, and of a function whose decorators may
read them; the order of this project's imports, of which `vector_width` must come before numpy; names of local
variables. See docs/decisions/settings.md.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any

PROJECT = ("pipeline", "stages")  # packages of this project
TALKS_ONLY = ("pipeline.runtime.console", "pipeline.training.progress")
"""Modules that tell the user how far a stage is and give it nothing back: no byte of an output can depend on them.

A test holds them to that: docs/decisions/settings.md has the rule.
"""
WITHOUT_EFFECT = sys.stdlib_module_names | {"jaxtyping"}  # packages whose import changes nothing but the names it binds
NOT_READING = {
    "cache", "cached_property", "classmethod", "contextmanager", "inference_mode", "no_grad", "property",
    "staticmethod", "wraps",
}  # fmt: skip
"""Decorators that read no annotations."""
FOR_CHECKERS = {"ctx", "kind", "type_comment", "type_ignores"}
"""Fields of nodes that follow from the other fields, or are comments."""


def code_sha256(source: bytes) -> str:
    """Return the hexadecimal SHA-256 of a module's reduced tree, the same on every supported version of Python.

    Raises:
        SyntaxError: If the source is not Python.
    """
    tree = ast.parse(source)
    _reduce(tree, in_class=False)
    _remove_labels(tree)
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # annotations in quotes, `__all__`
            used.update(re.findall(r"\w+", node.value))
    return hashlib.sha256(_text(tree, used).encode()).hexdigest()


def _reduce(node: ast.AST, *, in_class: bool) -> None:
    """Remove the statements and annotations below a node that do not count."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if all(_last_name(decorator) in NOT_READING for decorator in node.decorator_list):
            node.returns = None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        in_class = False
    in_class = in_class or isinstance(node, ast.ClassDef)
    for field, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            kept = [each for each in value if not _does_nothing(each)]
            setattr(node, field, kept if in_class else [_without_annotation(each) for each in kept])
    for child in ast.iter_child_nodes(node):
        _reduce(child, in_class=in_class)


def _remove_labels(tree: ast.AST) -> None:
    """Empty the texts in calls of functions of modules that only talk."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in TALKS_ONLY]
    talking = {alias.asname or alias.name for node in imports for alias in node.names}
    for call in ast.walk(tree) if talking else ():
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in talking:
            for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
                for part in (argument, *getattr(argument, "values", ())):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        part.value = ""


def _does_nothing(node: ast.stmt) -> bool:
    """Tell whether a statement is a docstring, another constant, `pass`, or a block for type checkers."""
    if isinstance(node, ast.If):
        return _last_name(node.test) == "TYPE_CHECKING" and not node.orelse
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _without_annotation(node: ast.stmt) -> ast.stmt:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return ast.Assign(targets=[node.target], value=node.value)
    return node


def _last_name(node: ast.expr) -> str:
    """Return `c` of `a.b.c` and of `a.b.c(...)`."""
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _text(node: object, used: set[str]) -> str:
    """Write a tree down, without fields that are absent or empty: later versions of Python have more of them."""
    if isinstance(node, list):
        return f"[{','.join(_items(node, used))}]"
    if isinstance(node, ast.Constant):
        return ascii(node.value)  # unlike `repr`, independent of the version's table of characters
    if not isinstance(node, ast.AST):
        return ascii(node)
    if isinstance(node, ast.JoinedStr):  # versions differ in how they divide the text around the values
        node.values = _joined(node.values)
    fields = (
        f"{name}={_text(value, used)}"
        for name, value in ast.iter_fields(node)
        if value is not None and value != [] and name not in FOR_CHECKERS
    )
    return f"{type(node).__name__}({','.join(fields)})"


def _joined(parts: list[ast.expr]) -> list[ast.expr]:
    """Join consecutive texts of an f-string; none is empty."""
    joined: list[ast.expr] = []
    for is_text, run in groupby(parts, lambda part: isinstance(part, ast.Constant)):
        pieces: list[Any] = list(run)
        if is_text:
            text = "".join(piece.value for piece in pieces)
            pieces = [ast.Constant(text)] if text else []
        joined += pieces
    return joined


def _items(nodes: list[object], used: set[str]) -> Iterator[str]:
    """Write the items of a list down; consecutive imports from outside of this project name by name, and sorted."""
    for from_outside, run in groupby(nodes, _imports_from_outside):
        if from_outside:
            yield from sorted(_text(each, used) for node in run for each in _name_by_name(node, used))
        else:
            yield from (_text(node, used) for node in run)


def _imports_from_outside(node: object) -> bool:
    """Tell whether a statement imports packages of others only."""
    if isinstance(node, ast.ImportFrom):
        return not node.level and _package(node.module) not in PROJECT
    return isinstance(node, ast.Import) and not any(_package(alias.name) in PROJECT for alias in node.names)


def _name_by_name(node: Any, used: set[str]) -> Iterator[ast.stmt]:
    """Yield an import of each name, but for names of packages without effect that nothing uses."""
    for alias in node.names:
        package = _package(node.module if isinstance(node, ast.ImportFrom) else alias.name)
        bound = alias.asname or _package(alias.name)
        if package not in WITHOUT_EFFECT or bound in used | {"*"}:
            yield type(node)(**dict(ast.iter_fields(node)) | {"names": [alias]})


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]
