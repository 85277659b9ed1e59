"""Loads the component class that a config names: imports one plugin only, and attributes every failure to it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, reduce
from importlib import import_module
from typing import Any

import pluggy

from ..contracts import hookspecs
from ..contracts.algorithm import Algorithm
from ..contracts.components import Component, ComponentConfig, Judge, RewardTerm, Selector, Tool, Toolset
from ..contracts.stage import StageConfig
from ..errors import PluginError
from .discovery import EntryPoint, InstalledPlugins, did_you_mean, exception_text, scan
from .hooks import PluginHooks

_HOOKS_AND_BASES: dict[str, tuple[str, tuple[type[Component], ...]]] = {
    "algorithm": ("spark_algorithms", (Algorithm,)),
    "judge": ("spark_judges", (Judge,)),
    "reward": ("spark_reward_terms", (RewardTerm,)),
    "selector": ("spark_selectors", (Selector,)),
    "tool": ("spark_tools", (Tool, Toolset)),
}
"""For each kind: the hook that returns its classes, and their base classes."""


@dataclass(frozen=True)
class LoadedClass:
    """A component class and the entry point that it came from."""

    cls: type[Component]
    entry: EntryPoint


class Host:
    """Owns the plugins of one program: those installed, those loaded, and the observers.

    A plugin is only imported when `component_class` is called for it.
    """

    def __init__(self, disable: Iterable[str] = ()) -> None:
        self.disabled = frozenset(disable)
        self._plugins = pluggy.PluginManager(hookspecs.PROJECT)
        self._plugins.add_hookspecs(hookspecs)
        self._loaded: dict[EntryPoint, LoadedClass] = {}
        self.calls = PluginHooks(self._plugins)
        """Calls tools and judges, and tells observers."""

    @cached_property
    def installed(self) -> InstalledPlugins:
        """The entry points of all distributions. Raises `ConfigError` as `scan` does."""
        return scan(self.disabled)

    def component_class(self, kind: str, reference: str) -> LoadedClass:
        """The class for `name` or `distribution/name`; its plugin is imported and registered.

        Raises:
            PluginError: it is unknown, disabled, in conflict, or broken.
        """
        entry = self.installed.find(kind, reference)
        if entry not in self._loaded:
            with _attribute_errors(entry, "being loaded"):
                plugin = import_target(entry.target)
                self._admit(plugin, entry.target)
                self._loaded[entry] = LoadedClass(self._class_of(entry, plugin), entry)
        return self._loaded[entry]

    def register_loaded(self, target: str) -> None:
        """Register a plugin that another host loaded, unless it is registered already."""
        self._admit(import_target(target), target)

    def register(self, plugin: object) -> None:
        """Add an observer: any object with `@hookimpl` methods. Calling it twice is harmless.

        Raises:
            PluginError: it has no hook, an unknown hook, or a hook with unknown arguments.
        """
        label = getattr(plugin, "__name__", type(plugin).__name__)
        if plugin is None or type(plugin).__hash__ is None:  # pluggy ignores None, and fails late on these
            raise PluginError(f"{label} cannot be registered: pass a hashable object (a dataclass needs eq=False)")
        if isinstance(plugin, type):  # its methods would be called without self
            raise PluginError(f"{label} cannot be registered: pass an instance, {label}()")
        try:
            self._admit(plugin, f"{label}#{id(plugin)}")
        except pluggy.PluginValidationError as exc:
            raise PluginError(f"{label} cannot be registered: {exception_text(exc)}") from exc
        if not self._plugins.get_hookcallers(plugin):
            self._plugins.unregister(plugin)
            raise PluginError(f"{label} cannot be registered: it has no method marked with @hookimpl")

    def _admit(self, plugin: object, name: str) -> None:
        if self._plugins.is_registered(plugin):  # one module may hold several components
            return
        self._plugins.register(plugin, name)
        try:
            self._plugins.check_pending()  # pluggy would never call a misspelt hook, without an error
        except pluggy.PluginValidationError as exc:
            hooks = self._plugins.get_hookcallers(plugin) or []
            stray = next(h.name for h in hooks if not (h.has_spec() or h.get_hookimpls()[-1].optionalhook))
            self._plugins.unregister(plugin)
            hint = did_you_mean(stray, [name for name in vars(hookspecs) if name.startswith("spark_")])
            raise pluggy.PluginValidationError(plugin, f"unknown hook {stray!r}{hint}") from exc

    def _class_of(self, entry: EntryPoint, plugin: object) -> type[Component]:
        hook, _ = _HOOKS_AND_BASES[entry.kind]
        others = [other for other in self._plugins.get_plugins() if other is not plugin]
        answers = self._plugins.subset_hook_caller(hook, others)()
        offered: list[Any] = [cls for answer in answers for cls in answer]
        named = [cls for cls in offered if getattr(cls, "name", None) == entry.name]
        if len(named) != 1:
            names = ", ".join(repr(getattr(cls, "name", cls)) for cls in offered) or "nothing (is it marked @hookimpl?)"
            raise ValueError(f"its {hook}() has to return one class with name = {entry.name!r}, but returns {names}")
        return checked_class(entry.kind, named[0])


def import_target(target: str) -> Any:
    """Import `module`, or `module:attribute.attribute`."""
    module, _, attributes = target.partition(":")
    return reduce(getattr, filter(None, attributes.split(".")), import_module(module))


def checked_class(kind: str, cls: Any) -> type[Component]:
    """Check what can be checked of a kind's contract without an instance; returns the class.

    Raises:
        TypeError: the class breaks the contract.
    """
    bases = _HOOKS_AND_BASES[kind][1]
    if not (isinstance(cls, type) and issubclass(cls, bases)):
        raise TypeError(f"{cls!r} is not a subclass of {' or '.join(base.__name__ for base in bases)}")
    if inspect.isabstract(cls):
        raise TypeError(f"{cls.__name__} has to implement {', '.join(sorted(cls.__abstractmethods__))}")
    required = {Tool: ("name", "description", "Args"), Toolset: ("name", "description")}
    for attribute in next((names for base, names in required.items() if issubclass(cls, base)), ("name",)):
        if not hasattr(cls, attribute):
            raise TypeError(f"{cls.__name__} has to set {attribute}")
    if not (isinstance(cls.Config, type) and issubclass(cls.Config, ComponentConfig)):
        raise TypeError(f"{cls.__name__}.Config has to be a subclass of ComponentConfig")
    if issubclass(cls, Algorithm) and not issubclass(cls.Config, StageConfig):
        raise TypeError(f"{cls.__name__}.Config has to be a subclass of StageConfig, which all stages share")
    return cls


@contextmanager
def _attribute_errors(entry: EntryPoint, doing: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as exc:  # a plugin that calls sys.exit() or panics must not end the program
        raise PluginError(
            f"{entry} failed while {doing}: {type(exc).__name__}: {exception_text(exc)}; "
            f"to run without it: -p no:{entry.key}"
        ) from exc


# -- the host in use -----------------------------------------------------------------------------------------------

_current: ContextVar[Host | None] = ContextVar("spark_framework_host", default=None)
_default: list[Host] = []


def current_host() -> Host:
    """The host that configs are validated with: that of `using_host`, or a default one for the process."""
    host = _current.get()
    if host is None:
        if not _default:
            _default.append(Host())
        host = _default[0]
    return host


@contextmanager
def using_host(host: Host) -> Iterator[Host]:
    """Make `host` the current one while the block lasts."""
    token = _current.set(host)
    try:
        yield host
    finally:
        _current.reset(token)
