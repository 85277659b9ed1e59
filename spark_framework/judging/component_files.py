"""Finds the files that a component consists of, without running them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

DATA = {".txt", ".md", ".json"}


def component_files(module: str, file: Path) -> list[tuple[str, Path]]:
    """(Name inside the top-level package, path) of the files that could change what a component does, by name.

    These are its module, every module of the same top-level package that it imports, directly or through others, and
    the data files in the folders of these modules, without sub-packages. A component that is defined in a package's
    `__init__.py` consists of the whole package. Other modules that it does not import are excluded.

    Args:
        module: the dotted name of the module that defines the component, in a package.
        file: that module's file.
    """
    package = _Package(module.partition(".")[0])
    waiting = [(module, file)]
    if file.name == "__init__.py":
        waiting += [(_module_name(module, file.parent, one), one) for one in file.parent.rglob("*.py") if one != file]
    modules: dict[Path, str] = {}
    while waiting:
        name, path = waiting.pop()
        if path not in modules:
            modules[path] = name
            waiting += package.imports(name, path)
    found = {name.replace(".", "/") + path.suffix: path for path, name in modules.items()}
    for path, name in modules.items():
        package_name = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for one in _data_files(path.parent):
            found[f"{package_name.replace('.', '/')}/{one.relative_to(path.parent).as_posix()}"] = one
    return sorted(found.items())


def _data_files(folder: Path) -> Iterator[Path]:
    for one in folder.iterdir():
        if one.is_dir() and not (one / "__init__.py").is_file():
            yield from _data_files(one)
        elif one.suffix in DATA and one.is_file():
            yield one


def _module_name(package: str, folder: Path, file: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))


class _Package:
    """A top-level package that is already imported."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._roots = [Path(root) for root in sys.modules[name].__path__]

    def imports(self, module: str, file: Path) -> Iterator[tuple[str, Path]]:
        """(Name, file) of the modules of this package that a module imports, in functions too."""
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # a file for another version of Python
            return
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(tree):
            for name in _imported(node, package):
                if (path := self._file(name)) is not None:
                    yield name, path

    def _file(self, module: str) -> Path | None:
        """The source file of a module; None if it is not part of this package."""
        top, *rest = module.split(".")
        if top != self._name:
            return None
        for root in self._roots:
            base = root.joinpath(*rest)
            for path in (base / "__init__.py", base.with_suffix(".py") if rest else None):
                if path is not None and path.is_file():
                    return path
        return None


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Dotted names that an import statement may load. `from a import b` may mean the module `a.b`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
        source = ".".join(filter(None, (base, node.module)))
        yield source
        yield from (f"{source}.{alias.name}" for alias in node.names)
