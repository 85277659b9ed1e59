"""Strict parsing of JSON from a model or another untrusted source."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(text: str, *, prefix: bool = False) -> Any:
    """The value of a JSON text; half a surrogate pair becomes U+FFFD, since it could not be stored.

    Args:
        prefix: allow other text after the value.

    Raises:
        ValueError: not JSON, or NaN, Infinity, a number beyond a double, a key given twice, nesting that is too deep.
    """
    try:
        value, end = _DECODER.raw_decode(text.lstrip())
        if _SURROGATE.search(text):
            value = _without_surrogates(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not prefix and text.lstrip()[end:].strip():
        raise ValueError("there is text after the value")
    return value


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, list) else value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that JSON has")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is given twice")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant, object_pairs_hook=_without_repeats)
