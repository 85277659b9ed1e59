"""Makes a program one that Monty can run: modules and statements that it lacks are put in other words.

Line numbers stay, so that an error names the program's own line. A program that CPython cannot read is left alone.
"""

from __future__ import annotations

import ast
import importlib
import textwrap
import threading
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OWN = ("calendar", "cmath", "fractions", "heapq", "operator", "statistics", "string")  # in modules/
NATIVE = (
    "math", "decimal", "datetime", "itertools", "collections", "functools", "random", "re", "json", "time",
    "dataclasses", "typing", "bisect", "copy",
)  # fmt: skip
MODULES = NATIVE + OWN
BUILTINS = """
    abs all any bool complex dict float getattr hash int isinstance len list max min range reversed round set sorted str
    sum tuple type zip ValueError TypeError ZeroDivisionError
"""  # bound before the program can give these names another meaning
_PARSER = threading.Lock()
"""CPython 3.11 counts the recursion of all threads together: two that parse at once may end in a SystemError."""
KEPT = ", ".join(f"{name}={name}" for name in BUILTINS.split())
PRELUDE = f"""
def _spark_closing(value, {KEPT}, repr=repr):
    return value if value is None or isinstance(value, str) else repr(value)
def _spark_exit(code=None, {KEPT}):
    if code:
        raise SystemExit(str(code))
    raise SystemExit
exit = quit = _spark_exit
"""


def adapt(code: str) -> tuple[str, str]:
    """What to run before the program, and the program in Monty's words; its closing value is None or a string."""
    warnings.filterwarnings("ignore", module="<program>")  # of "\d" and the like: not a matter for our stderr
    try:
        tree = _parsed(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return PRELUDE, code
    source = _Source(code)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = {alias.name for alias in node.names} & {*OWN}
            if wanted:
                modules |= wanted
                source.replace(node, "; ".join(map(_import, node.names)))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module in OWN:
                modules.add(node.module)
            if node.module in OWN or node.names[0].name == "*":
                source.replace(node, "; ".join(_import_from(node.module, node.names, names)) or "pass")
        elif isinstance(node, ast.Delete):
            deletions = [source.deletion(target) for target in node.targets]
            if all(deletions):
                source.replace(node, "; ".join(map(str, deletions)))
        elif isinstance(node, ast.Attribute) and node.attr == "exit" and _is_name(node.value, "sys"):
            source.replace(node, "_spark_exit")
        elif isinstance(node, ast.keyword) and node.arg == "key" and isinstance(node.value, ast.Attribute):
            source.replace(
                node.value, f"lambda _spark_item: {source.method_call(node.value)}"
            )  # no method without a call
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        source.wrap(tree.body[-1], "_spark_closing((", "))")
    return PRELUDE + "".join(map(_own_module, sorted(modules))), source.text()


def _parsed(code: str) -> ast.Module:
    with _PARSER:
        return ast.parse(code, "<program>")


class _Source:
    """A program's text and the changes to it, by place."""

    def __init__(self, code: str) -> None:
        self.code = code.encode()
        lines = self.code.splitlines(keepends=True)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))
        self.edits: list[tuple[int, int, bytes]] = []

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Where the node begins and ends, in bytes."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def segment(self, node: ast.expr) -> str:
        start, end = self.span(node)
        return self.code[start:end].decode()

    def replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        """Put text in the node's place, with as many line ends."""
        start, end = self.span(node)
        missing = self.code[start:end].count(b"\n") - text.count("\n")
        if missing > 0:
            text += f"; ({missing * chr(10)})"
        self.edits.append((start, end, text.encode()))

    def wrap(self, node: ast.stmt, before: str, after: str) -> None:
        start, end = self.span(node)
        self.edits += [(start, start, before.encode()), (end, end, after.encode())]

    def deletion(self, target: ast.expr) -> str | None:
        """`del target` in other words; None where there are none."""
        if isinstance(target, ast.Name):
            return f"{target.id} = None"
        if not isinstance(target, ast.Subscript):
            return None
        holder, place = self.segment(target.value), self.segment(target.slice)
        return f"{holder}[{place}] = []" if isinstance(target.slice, ast.Slice) else f"{holder}.pop(({place}))"

    def method_call(self, method: ast.Attribute) -> str:
        """The method called with the item; for `str.lower`, the item's own method."""
        if _is_name(method.value, "str"):
            return f"_spark_item.{method.attr}()"
        return f"{self.segment(method)}(_spark_item)"

    def text(self) -> str:
        code = self.code
        for start, end, text in sorted(self.edits, reverse=True):
            code = code[:start] + text + code[end:]
        return code.decode()


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _import(alias: ast.alias) -> str:
    if alias.name in OWN:
        return f"{alias.asname or alias.name} = _spark_{alias.name}"
    return f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")


def _import_from(module: str, aliases: list[ast.alias], names: set[str]) -> Iterator[str]:
    """`from module import …` as assignments for a module of ours, and without `*`: only names that the program uses."""
    if aliases[0].name == "*" and module not in MODULES:
        yield f"import {module}"  # raises the ImportError
        return
    if aliases[0].name == "*":
        aliases = [ast.alias(name) for name in sorted(names & _exports(module))]
    for alias in aliases:
        name = alias.asname or alias.name
        if module not in OWN:
            yield f"from {module} import {alias.name} as {name}"
        elif alias.name in _exports(module):
            yield f"{name} = _spark_{module}.{alias.name}"
        else:
            yield f"raise ImportError({f'cannot import name {alias.name!r} from {module!r}'!r})"


@cache
def _exports(module: str) -> set[str]:
    """The names that a module offers."""
    if module not in OWN:
        return {name for name in dir(importlib.import_module(module)) if not name.startswith("_")}
    stored: set[str] = set()
    for node in _parsed(_text(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            stored.add(node.name)
        elif isinstance(node, ast.Assign):
            stored |= {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in stored if not name.startswith("_")}


def _text(module: str) -> str:
    return Path(__file__).with_name("modules").joinpath(f"{module}.py").read_text(encoding="utf-8")


@cache
def _own_module(name: str) -> str:
    """A module of ours as a class with its names, made in a function, where the program cannot change what it uses."""
    names = "".join(f"    {name}.{export} = {export}\n" for export in sorted(_exports(name)))
    body = f"{textwrap.indent(_text(name), '    ')}\n    class {name}:\n        pass\n{names}    return {name}\n"
    return f"def _spark_make_{name}({KEPT}):\n{body}_spark_{name} = _spark_make_{name}()\n"
