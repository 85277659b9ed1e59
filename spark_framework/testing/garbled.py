"""A good reply, corrupted in ways that models and servers produce."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
BAD_SCORES: dict[str, Any] = {
    "NaN": math.nan, "infinity": math.inf, "true": True, '"7"': "7", "11": 11, "-1": -1, "null": None, "[7]": [7],
}  # fmt: skip
BAD_FLAGS: dict[str, Any] = {"1": 1, '"true"': "true", "null": None}


def spoilt(body: dict[str, Any], n: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A reply's body without a complete verdict on n candidates, many times; each with what is wrong with it.

    Scores are looked for as JSON inside of a text of the body (a chat model's reply), and in the body itself.
    """
    yield "an empty body", {}
    for path, text in _texts(body):
        value = _json(text)
        if value is not None:
            for what, bad in [*_spoilt_text(text), *_written(_spoilt_value(value, n)), *_repeated(value, n)]:
                yield what, _with(body, path, bad)
    yield from _spoilt_value(body, n)


def _spoilt_text(text: str) -> Iterator[tuple[str, str]]:
    yield "an empty text", ""
    yield "prose instead of JSON", "All candidates look good to me: 7 out of 10."
    yield "JSON that was cut in the middle", text[: len(text) // 2]
    yield "JSON without its last character", text.rstrip()[:-1]
    yield "two JSON values", text + text
    yield "JSON null", "null"
    yield "a JSON list of numbers", "[7, 7, 7]"
    yield "100,000 brackets", "[" * 100_000


def _spoilt_value(value: Any, n: int) -> Iterator[tuple[str, Any]]:
    """The value with one entry too few, too many, or of the wrong kind, wherever it holds n numbers or truth values."""
    for path, entries in _collections(value, n):
        at = "".join(f"[{part!r}]" for part in path)
        for what, changed in (("one missing", _less(entries)), ("one too many", _more(entries))):
            yield f"{what} in {at or 'the reply'}", _with(value, path, changed)
        for inner, old in _entries(entries):
            for what, bad in (BAD_FLAGS if isinstance(old, bool) else BAD_SCORES).items():
                yield f"{what} in the place of {old!r} in {at or 'the reply'}", _with(value, (*path, *inner), bad)


def _collections(value: Any, n: int, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Mappings and lists with n numbers, n truth values, or n mappings that hold some."""
    items = _items(value)
    if len(items) == n and _entries(value):
        yield path, value
        return
    for key, inner in items:
        yield from _collections(inner, n, (*path, key))


def _entries(value: Any) -> list[tuple[Path, Any]]:
    """The numbers and truth values to corrupt: the collection's first, or those of its first mapping."""
    items = _items(value)
    if items and all(isinstance(inner, int | float) for _, inner in items):
        return [((items[0][0],), items[0][1])]
    if items and all(isinstance(inner, dict) for _, inner in items):
        first, fields = items[0]
        return [((first, name), inner) for name, inner in fields.items() if isinstance(inner, int | float)]
    return []


def _items(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _less(entries: Any) -> Any:
    return dict(list(entries.items())[:-1]) if isinstance(entries, dict) else entries[:-1]


def _more(entries: Any) -> Any:
    last = _items(entries)[-1][1]
    return {**entries, "one_more": last} if isinstance(entries, dict) else [*entries, copy.deepcopy(last)]


def _repeated(value: Any, n: int) -> Iterator[tuple[str, str]]:
    """A key that is given twice; only text can hold that."""
    for path, entries in _collections(value, n):
        if isinstance(entries, dict):
            key, inner = next(iter(entries.items()))
            mark = "a mark that is in no reply"
            text = json.dumps(_with(value, path, {mark: 0, **entries}))
            twice = text.replace(f'"{mark}": 0', f"{json.dumps(key)}: {json.dumps(inner)}")
            yield f"the key {key!r} given twice", twice


def _written(values: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for what, value in values:
        yield what, json.dumps(value)


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    for key, inner in _items(value):
        yield from _texts(inner, (*path, key))


def _json(text: str) -> Any:
    """The mapping or list that a text is, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _with(value: Any, path: Path, new: Any) -> Any:
    """A copy with another value at the end of the path."""
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed
