"""The schema of an LLM judge's reply, and a strict parser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from spark_framework.api import JudgeError

from .prompt import Reasons, reply_parts

PARSER_VERSION = 2
SCORES = tuple(range(11))


class ParsedReply(NamedTuple):
    """The content of a reply, in the order of the labels."""

    scores: list[float]
    process_ok: list[bool]
    reasons: list[str]
    """Empty where none were asked for."""


@lru_cache(maxsize=64)
def reply_schema(names: tuple[str, ...], reasons: Reasons = "none", typed: bool = True) -> dict[str, Any]:
    """A strict JSON schema: for every label one integer score, one process_ok and perhaps a reason. Cached: do not
    modify it.

    An enum and required keys, since not every provider enforces bounds and list lengths.

    Args:
        typed: whether the enum has a type, too; OpenAI requires it, and Anthropic's SDK removes it.
    """
    score = ({"type": "integer"} if typed else {}) | {"enum": list(SCORES)}
    kinds = {"scores": score, "process_ok": {"type": "boolean"}, "reasons": {"type": "string"}}
    return _record({part: _record(dict.fromkeys(names, kinds[part])) for part in reply_parts(reasons)})


def parse_reply(text: str, names: Sequence[str], reasons: Reasons = "none") -> ParsedReply:
    """Scores, process_ok and reasons in the order of `names`.

    Raises `JudgeError("invalid")` for anything but exactly one verdict for each label: a label missing, unknown or
    given twice, a score that is not an integer from 0 to 10, a boolean in place of a number, NaN, cut JSON, a
    fence around it.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise JudgeError("the reply is not one complete JSON object", "invalid") from None
    parts = reply_parts(reasons)
    _check_keys("the reply", value, parts)
    for part in parts:
        _check_keys(part, value[part], names)
    for name in names:
        score, sound = value["scores"][name], value["process_ok"][name]
        if type(score) is not int or score not in SCORES:
            raise JudgeError(f"the score of {name} is not a whole number from 0 to 10", "invalid")
        if type(sound) is not bool:
            raise JudgeError(f"process_ok of {name} is not true or false", "invalid")
        if reasons != "none" and type(value["reasons"][name]) is not str:
            raise JudgeError(f"the reason of {name} is not a text", "invalid")
    return ParsedReply(
        scores=[float(value["scores"][name]) for name in names],
        process_ok=[value["process_ok"][name] for name in names],
        reasons=[] if reasons == "none" else [value["reasons"][name] for name in names],
    )


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
