"""Reads YAML files into validated models: applies `base` and `--set`, and reports every mistake in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import ConfigError
from ..host.component_spec import UNKNOWN_KEY, Model, validate_with_suggestions
from ..host.manager import Host, current_host, using_host
from .files import parse, read_composed


def load_config(path: Path | str, model_cls: type[Model], overrides: Iterable[str] = ()) -> Model:
    """Read a config file into a model.

    Args:
        path: a YAML file that holds a mapping; its key `base` names a preset or a file to merge it over.
        model_cls: its pydantic model. A top-level key `plugins.disable` applies while components are looked up.
        overrides: `path.to.key=value` each, applied in order; the value is YAML, list entries are numbered from 0.

    Raises:
        ConfigError: one line `path.to.key: what is wrong (got …)`, with the file's name.
        PluginError: a component is unknown, disabled, in conflict or broken.
    """
    return build_config(read_composed(Path(path)), model_cls, overrides, str(path))


def build_config(data: dict[str, Any], model_cls: type[Model], overrides: Iterable[str], source: str) -> Model:
    """A model from data and overrides; errors as for `load_config`."""
    defaults = {name: field.default for name, field in model_cls.model_fields.items() if isinstance(field.default, str)}
    for override in overrides:
        _override(data, override, defaults)
    return check_config(data, model_cls, source)


def check_config(data: Mapping[str, Any], model_cls: type[Model], source: str) -> Model:
    """A model from data that are already read, for example from `run.json`; errors as for `load_config`."""
    try:
        with _without_disabled(data):
            return validate_with_suggestions(model_cls, data)
    except ValidationError as exc:
        raise ConfigError(f"{_explain(exc, data)} [{source}]") from exc
    except ConfigError as exc:  # from the model's own checks
        raise ConfigError(f"{exc} [{source}]") from exc


def _override(data: dict[str, Any], override: str, defaults: Mapping[str, str]) -> None:
    keys, equals, text = override.partition("=")
    parts = keys.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: write path.to.key=value")
    value = parse(text, f"--set {override}")
    here: Any = data
    for depth, part in enumerate(parts):
        key = _key_of(here, part, f"--set {override}: {'.'.join(parts[:depth])}")
        if depth == len(parts) - 1:
            here[key] = value
            return
        inner = here[key] if isinstance(here, list) else here.get(key)
        if inner is None and depth == 0:
            inner = defaults.get(part)
        # A missing mapping is created; a component's bare name is the short form of one.
        here[key] = {} if inner is None else {"use": inner} if isinstance(inner, str) else inner
        here = here[key]


def _key_of(container: Any, part: str, where: str) -> Any:
    if isinstance(container, dict):
        return part
    if not isinstance(container, list):
        raise ConfigError(f"{where} is {container!r}, which has no keys")
    if not (part.isdecimal() and int(part) < len(container)):
        raise ConfigError(f"{where} is a list of {len(container)}, numbered from 0; there is no entry {part!r}")
    return int(part)


def _without_disabled(data: Mapping[str, Any]) -> Any:
    plugins = data.get("plugins")
    names = plugins.get("disable") if isinstance(plugins, Mapping) else None
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return nullcontext()  # nothing to disable, or a mistake that the model reports
    disabled = current_host().disabled
    return nullcontext() if disabled.issuperset(names) else using_host(Host(disabled.union(names)))


_IN_YAML = {
    "dict_type": "should be a mapping",
    "list_type": "should be a list",
    "model_type": "should be a mapping",
    "tuple_type": "should be a list",
}
"""YAML terms for errors in which pydantic uses names of Python types."""


def _explain(exc: ValidationError, data: Any) -> str:
    """The first problem, unknown keys before others: a misspelt key is often the cause of a missing one."""
    problems: dict[str, list[str]] = {}
    for error in sorted(exc.errors(include_url=False), key=lambda error: error["type"] != UNKNOWN_KEY):
        about_a_key = error["type"] in ("missing", UNKNOWN_KEY)
        where = _as_typed(error["loc"], data, about_a_key=about_a_key)
        what = _IN_YAML.get(error["type"]) or error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if error["type"] == "missing":
            what = f"is missing; add it to the file or pass --set {where}=VALUE"
        elif not about_a_key and not isinstance(error["input"], (dict, list)):
            what += f" (got {_shortened(repr(error['input']))})"
        problems.setdefault(where, []).append(" ".join(what.split()))
    first, *others = problems
    more = f" (also wrong: {', '.join(others)})" if others else ""
    return f"{first}: {' or '.join(dict.fromkeys(problems[first]))}{more}"


def _as_typed(location: tuple[Any, ...], data: Any, *, about_a_key: bool) -> str:
    """The path as written in the file, without the names that pydantic gives to the members of a union."""
    path = []
    for depth, part in enumerate(location, start=1):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            if depth < len(location) or not (about_a_key or isinstance(data, dict)):
                continue
        path.append(str(part))
    return ".".join(path) or "the file"


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
