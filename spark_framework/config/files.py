"""Reads YAML files as plain data: duplicate keys are refused, and a config may build on another one (`base`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError

SUFFIXES = (".yaml", ".yml")


def preset(name: str) -> Path:
    """The file of a configuration that ships with the package: `quickstart`, `ladder`, `paper`.

    Raises:
        ConfigError: there is no such preset.
    """
    path = Path(str(files("spark_framework") / "presets" / f"{name}.yaml"))
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ConfigError(f"there is no preset {name}; presets: {known}")
    return path


def read_composed(path: Path) -> dict[str, Any]:
    """A file's mapping, merged over the one that its key `base` names: a preset, or a file relative to this one.

    Raises:
        ConfigError: a file cannot be read, the preset does not exist, or a file builds on itself.
    """
    return _composed(path, ())


def _composed(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if (resolved := path.resolve()) in above:
        names = [one.name for one in (*above[above.index(resolved) :], resolved)]
        raise ConfigError(f"base: a config cannot build on itself: {' -> '.join(names)} [{above[-1]}]")
    data = read_mapping(path)
    base = data.pop("base", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ConfigError(f"base: should be the name of a preset, or a file [{path}]")
    if base.endswith(SUFFIXES):
        found = path.parent / base
    else:
        try:
            found = preset(base)
        except ConfigError as exc:
            raise ConfigError(f"base: {exc}; the name of a file ends with .yaml [{path}]") from None
    merged: dict[str, Any] = _merged(_composed(found, (*above, resolved)), data)
    return merged


def _merged(below: Any, own: Any) -> Any:
    """Merge mappings key by key; any other value replaces the one of the base.

    A component's bare name is short for a mapping. If another component is chosen, the base's settings are dropped.
    """
    if isinstance(below, str) and isinstance(own, Mapping) and "use" not in own:
        return {"use": below, **own}
    if not (isinstance(below, Mapping) and isinstance(own, Mapping)):
        return own
    if own.get("use", below.get("use")) != below.get("use"):
        return own
    return {**below, **{key: _merged(below[key], value) if key in below else value for key, value in own.items()}}


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping.

    Raises:
        ConfigError: the file is missing, is not UTF-8 text or YAML, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({exc})") from exc
    data = parse(text, str(path))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: should hold a mapping of keys to values, but holds a {type(data).__name__}")
    return data


def parse(text: str, source: str) -> Any:
    """A YAML text as plain data. Raises `ConfigError`, with the source at its start, if it is not YAML."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "not YAML"
        raise ConfigError(f"{source}{line}: {what}") from exc


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, of which PyYAML silently uses the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"key {key.value!r} is given twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node
