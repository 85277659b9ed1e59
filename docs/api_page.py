"""The page of the Python API, and the snapshot of its surface: names, signatures, fields. Part of docs/generate.py."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from spark_framework.config.run import RunConfig

MODULES = {
    "spark_framework": "For programs and notebooks. The tutorial makes [a first run](../tutorial/first-run.md).",
    "spark_framework.api": "Everything that a plugin may import: [how to write one](../how-to/write-a-plugin.md).",
    "spark_framework.testing": "For the tests of a plugin: [how to test one](../how-to/test-a-plugin.md).",
}
FIXTURES = "spark_framework.testing.pytest_plugin"


def api_parts() -> Iterator[str]:
    """The page's parts, without its heading."""
    yield (
        "All public names. Other names may change without notice; changes of these names are in the "
        "[changelog](../changelog.md)."
    )
    for name, text in MODULES.items():
        module = import_module(name)
        yield f"## {name}"
        yield text
        for public in sorted(module.__all__, key=str.casefold):
            yield from _member(public, getattr(module, public), module)
    yield "## pytest fixtures"
    yield "pytest finds them wherever the framework is installed."
    for name, value in sorted(vars(import_module(FIXTURES)).items()):
        function = getattr(value, "__wrapped__", None)
        if function is not None and name != "spark_component":
            yield f"### {name}"
            yield _described(value)


def _member(name: str, value: Any, module: ModuleType) -> Iterator[str]:
    if module.__name__ != "spark_framework.api" and name in import_module("spark_framework.api").__all__:
        yield f"### {name}\n\nAs in `spark_framework.api`."
        return
    yield f"### {name}"
    if isinstance(value, type):
        yield from _class(name, value)
    elif inspect.isfunction(value):
        yield _code(f"def {name}{_signature(value)}: ...")
        yield _described(value)
    elif repr(value).startswith("<"):  # it would name an address
        yield _code(f"{name}: {type(value).__name__}")
    else:
        yield _code(f"{name} = {_plain(repr(value))}")


# -- classes -------------------------------------------------------------------------------------------------------


def _class(name: str, cls: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in cls.__bases__ if base is not object)
    lines = [f"class {name}({bases}):" if bases else f"class {name}:", *_members(cls)]
    yield _code("\n".join(lines) + ("" if len(lines) > 1 else " ..."))
    yield _described(cls)
    if issubclass(cls, RunConfig):
        yield "Its keys: [config files](config.md)."
        return
    described = [f"* `{member}`: {text}" for member, text in _texts(cls).items() if not member.startswith("_")]
    if described:
        yield "\n".join(described)


def _members(cls: type) -> Iterator[str]:
    """One line for each field, attribute, property and method that the class itself declares."""
    if not issubclass(cls, RunConfig):
        yield from (f"    {field}" for field in _fields(cls))
    for name, value in vars(cls).items():
        own = not name.startswith("_") or (name == "__init__" and not is_dataclass(cls))
        function = getattr(value, "__func__", value)
        if not own or hasattr(function, "decorator_info"):
            continue
        if isinstance(value, property):
            yield f"    {name}: {_plain(inspect.signature(value.fget).return_annotation)}  # property"
        elif isinstance(value, cached_property):
            yield f"    {name}: {_plain(inspect.signature(value.func).return_annotation)}  # property"
        elif inspect.isfunction(function) and function.__module__.startswith("spark_framework"):
            prefix = {classmethod: "@classmethod\n", staticmethod: "@staticmethod\n"}.get(type(value), "")
            yield textwrap.indent(f"{prefix}def {name}{_signature(function)}: ...", "    ")


def _fields(cls: type) -> Iterator[str]:
    for name, annotation in cls.__annotations__.items():
        if not name.startswith("_"):
            default = _default(cls, name)
            yield f"{name}: {_plain(annotation)}{f' = {default}' if default else ''}"


def _default(cls: type, name: str) -> str:
    if issubclass(cls, BaseModel) and name in cls.model_fields:
        field = cls.model_fields[name]
        return "" if field.is_required() else _plain(repr(field.get_default(call_default_factory=True)))
    value = vars(cls).get(name, ...)
    return "" if value is ... or isinstance(value, type) else _plain(repr(value))


def _texts(cls: type) -> dict[str, str]:
    """What the source says of fields and methods, in one line each."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError):
        return {}
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, text in zip(body.body, [*body.body[1:], None], strict=True):
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) if _string(text):
                found[name] = _string(text)
            case ast.FunctionDef(name=name) if ast.get_docstring(statement):
                found[name] = str(ast.get_docstring(statement)).partition("\n\n")[0]
    return {name: " ".join(text.split()) for name, text in found.items()}


def _string(statement: ast.stmt | None) -> str:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    return ""


# -- text ----------------------------------------------------------------------------------------------------------


def _signature(function: Callable[..., Any]) -> str:
    """In one line, or with a line for each parameter."""
    signature = inspect.signature(function)
    line = _plain(str(signature))
    if len(line) < 90:
        return line
    parts = [_plain(str(parameter)) for parameter in signature.parameters.values()]
    keyword_only = [parameter.kind is parameter.KEYWORD_ONLY for parameter in signature.parameters.values()]
    if any(keyword_only):
        parts.insert(keyword_only.index(True), "*")
    return "(\n" + "".join(f"    {part},\n" for part in parts) + ")" + line.rpartition(")")[2]


def _plain(annotation: Any) -> str:
    """Types without the modules that they are from, and without the quotes of annotations that were not evaluated."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text).replace("<built-in function print>", "print")
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=\w)", "", text)


def _code(text: str) -> str:
    return f"```text\n{text}\n```"  # as Python, formatters would want another layout


SECTION = re.compile(r"^(Args|Example|Raises|Returns|Yields):$")


def _described(thing: Any) -> str:
    """A docstring as Markdown: sections become lists, examples become code."""
    written = (inspect.getdoc(thing) or "").splitlines()
    lines: list[str] = []
    while written:
        line = written.pop(0)
        if heading := SECTION.match(line):
            inner = textwrap.dedent("\n".join(_taken(written, lambda text: text.startswith(" ") or not text)))
            lines += ["", _code(inner.strip()) if heading[1] == "Example" else f"{heading[1]}:\n\n{_listed(inner)}", ""]
        elif line.startswith(("class ", "    ")):
            code = [line, *_taken(written, lambda text: text.startswith((" ", "class ")) or not text)]
            lines += [_code(textwrap.dedent("\n".join(code)).strip()), ""]
        else:
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _taken(lines: list[str], wanted: Callable[[str], bool]) -> list[str]:
    """The lines at the front that are wanted; they are taken away."""
    taken = []
    while lines and wanted(lines[0]):
        taken.append(lines.pop(0))
    return taken


def _listed(text: str) -> str:
    return re.sub(r"\n +", " ", re.sub(r"^([\w, ]+): ", r"* `\1`: ", text.strip(), flags=re.MULTILINE))
