"""Opens the components of a run: builds them, prepares them, and closes them at the end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from ..contracts.components import Component, Tool, Toolset
from ..errors import ConfigError, PluginError, UserError
from ..records import ANSWER, THINK
from .component_spec import ComponentSpec
from .discovery import exception_text


@contextmanager
def open_component(spec: ComponentSpec) -> Iterator[Component]:
    """The component, prepared; it is closed when the block ends.

    Raises:
        UserError: raised by the component if something that it needs is missing.
        PluginError: it is broken.
    """
    component = spec.build()
    try:
        try:
            component.prepare()
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException as exc:
            reason = f"{type(exc).__name__}: {exception_text(exc)}"
            raise PluginError(f"{spec.kind} {spec.name!r} ({spec.target}) cannot be prepared: {reason}") from exc
        yield component
    finally:
        component.close()


@contextmanager
def open_tools(specs: Iterable[ComponentSpec]) -> Iterator[tuple[Tool, ...]]:
    """A run's tools in order; a toolset is replaced by its tools.

    Raises:
        ConfigError: two tools have the same name, or a name is not a valid action name.
    """
    tools: list[Tool] = []
    with ExitStack() as stack:
        for spec in specs:
            component = stack.enter_context(open_component(spec))
            found = component.tools() if isinstance(component, Toolset) else [component]
            tools.extend(tool for tool in found if isinstance(tool, Tool))
        check_names(tool.name for tool in tools)
        yield tuple(tools)


def check_names(names: Iterable[str]) -> None:
    """Raise `ConfigError` if a tool's name is not unique, is reserved, or is not a valid action name."""
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(f"tools: {name} is listed twice")
        if name in (THINK, ANSWER):
            raise ConfigError(f"tools: the name {name} is reserved for the framework; rename the tool")
        if not re.fullmatch(r"[\w.-]+", name):
            raise ConfigError(f"tools: {name!r} is not a valid action name; use letters, digits, _, - and .")


def check_permissions(spec: ComponentSpec, allowed: Iterable[str]) -> None:
    """Raise `ConfigError` if a tool needs a permission that the run does not allow."""
    component = spec.build()
    if isinstance(component, Tool | Toolset) and (missing := component.needs - set(allowed)):
        allow = ", ".join(sorted(missing))
        raise ConfigError(f"tools: {spec.name} needs {allow}; allow it with `plugins: {{allow: [{allow}]}}`")
