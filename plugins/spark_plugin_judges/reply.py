"""The form of an LLM judge's reply, and the parser that takes nothing on trust."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from spark_framework.api import JudgeError

PARSER_VERSION = 1


def reply_schema(names: Sequence[str]) -> dict[str, Any]:
    """A strict JSON schema: for every label one whole score and one process_ok.

    An enum and required keys, since not every provider enforces bounds and list lengths.
    """
    return _record(
        {
            "scores": _record({name: {"type": "integer", "enum": list(range(11))} for name in names}),
            "process_ok": _record({name: {"type": "boolean"} for name in names}),
        }
    )


def parse_reply(text: str, names: Sequence[str]) -> tuple[list[float], list[bool]]:
    """Scores and process_ok in the order of `names`.

    Raises `JudgeError("invalid")` for anything but exactly one verdict for each label: a label missing, unknown or
    given twice, a number that is no whole number from 0 to 10, a truth value in a number's place, NaN, cut JSON.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (json.JSONDecodeError, RecursionError):
        raise JudgeError("the reply is not one complete JSON object", "invalid") from None
    _check_keys("the reply", value, ("scores", "process_ok"))
    for part in ("scores", "process_ok"):
        _check_keys(part, value[part], names)
    for name in names:
        score, sound = value["scores"][name], value["process_ok"][name]
        if type(score) is not int or not 0 <= score <= 10:
            raise JudgeError(f"the score of {name} is not a whole number from 0 to 10", "invalid")
        if type(sound) is not bool:
            raise JudgeError(f"process_ok of {name} is not true or false", "invalid")
    return [float(value["scores"][name]) for name in names], [value["process_ok"][name] for name in names]


def _record(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _check_keys(what: str, value: Any, names: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise JudgeError(f"{what} is not a JSON object", "invalid")
    missing = [name for name in names if name not in value]
    extra = len(value.keys() - set(names))
    if missing or extra:
        raise JudgeError(f"{what} lacks {', '.join(missing) or 'nothing'} and has {extra} unknown keys", "invalid")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise JudgeError("the reply gives a key twice", "invalid")
    return dict(pairs)


def _no_constant(text: str) -> NoReturn:
    raise JudgeError(f"the reply holds {text}, which is no number", "invalid")
