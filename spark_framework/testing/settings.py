"""Other valid values for a component's settings, found by trying."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from ..contracts.components import ComponentConfig
from ..errors import UserError


def varied(config: ComponentConfig, name: str) -> ComponentConfig | None:
    """The same settings but for one, or None where no other valid value was found."""
    now = config.model_dump(mode="json")
    for value in _proposals(now[name], type(config).model_fields[name].annotation):
        try:
            other = type(config).model_validate({**now, name: value})
        except (ValidationError, UserError, RecursionError):  # UserError: it would be a component that is not there
            continue
        if getattr(other, name) != getattr(config, name):
            return other
    return None


def is_constant(annotation: Any) -> bool:
    """Whether it is a `Literal` of one value."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def _proposals(value: Any, annotation: Any = None) -> Iterator[Any]:
    listed = _choices(annotation)
    yield from listed
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, value * 2, value / 2, value + 0.01)
    elif isinstance(value, str):
        yield from (f"{value}x", f"{value}1", "other", "https://example.org/v1", "2026-01-31")
    elif isinstance(value, list):
        items = [*listed, *(item for one in value[:1] for item in _proposals(one)), "other", "judge.other", 1, 0.5]
        yield from ([*value, item] for item in items)
        yield value[:-1]
    elif isinstance(value, dict):
        yield from ({**value, key: item} for key, inner in value.items() for item in _proposals(inner))
        yield from ({**value, "other": item} for item in (1, 0.5, True, "other"))
    else:
        yield from ("other", 1, 0.5, True, ["other"], {"other": 1}, "https://example.org/v1")


def _choices(annotation: Any) -> list[Any]:
    """The values of every `Literal` that an annotation mentions."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for inner in get_args(annotation) for value in _choices(inner)]
