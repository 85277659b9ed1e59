"""StepTool's annotator: a prompted model that rates the steps and the outcome of a finished trajectory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from pydantic import Field

from spark_framework.api import ANSWER, ApiReply, ApiRequest, Judge, JudgeError, JudgeRequest, Verdict, hookimpl

from ..llm.gpt4o import GPT4o
from ..llm.prompt import labels, user_text

SUCCEEDED, CONTRIBUTION, STATUS = "succeed_tool_calling", "contribution_to_final_answer", "final_answer_status"
SOLVED = {"Solved": 10.0, "Unsure": 5.0, "Unsolved": 0.0}
RATINGS = range(6)


class Rating(NamedTuple):
    """The content of a reply, step by step."""

    succeeded: list[bool]
    contributions: list[int]
    status: str


class SteptoolAnnotator(GPT4o):
    """Rates all steps of a finished trajectory in one call, for `steptool.annotator`: did the call succeed, how much
    did it contribute to the final answer (0 to 5), and is the question solved. A request's seed is the number of the
    repeat; repeats are separate requests. Any server that speaks the OpenAI chat protocol will do.
    """

    name = "steptool_annotator"

    class Config(GPT4o.Config):
        max_tokens: int = Field(default=1000, ge=1)
        """Room for the reply; doubled once where it was too small."""
        reasons: Literal["none"] = "none"
        """An annotator writes no reasons."""
        repeat: Literal[0] = 0
        """Repeats are counted by `steptool.repeats`."""

    def fingerprint(self) -> str:
        """Covers the annotators' instructions too."""
        return hashlib.sha256(f"{super().fingerprint()}\n{instructions()}".encode()).hexdigest()[:16]

    def request(self, request: JudgeRequest) -> ApiRequest:
        _check_finished(request)
        order = range(len(request.candidates))
        body = self.body(user_text(request, order), tuple(labels(len(order))))
        return ApiRequest(endpoint=self.config.base_url + self.path, body=body, repeat=request.seed)

    def body(self, prompt: str, names: tuple[str, ...]) -> dict[str, Any]:
        body = super().body(prompt, names)
        steps = names[:-1]
        system = instructions()
        if self.config.response_format == "json_schema":
            form = {"name": "rating", "strict": True, "schema": rating_schema(steps)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        else:
            system += f"\nThe schema:\n{json.dumps(rating_schema(steps))}\n"
        body["messages"] = [{"role": "system", "content": system}, body["messages"][-1]]
        return body

    def read(self, request: JudgeRequest, reply: ApiReply) -> Verdict:
        """The verdict: process_ok is the call's success, the score twice the contribution, the last score IsSolved."""
        answer = self._reply_or_empty(reply)
        if answer.refused:
            raise JudgeError("the model refused to rate this trajectory", "refusal")
        if answer.was_cut:
            raise JudgeError("the reply was cut: raise max_tokens of the annotator", "invalid")
        rating = parse_rating(answer.text, labels(len(request.candidates))[:-1])
        return Verdict(
            scores=(*(2.0 * value for value in rating.contributions), SOLVED[rating.status]),
            process_ok=(*rating.succeeded, rating.status == "Solved"),
            judge=self.name,
            fingerprint=self.fingerprint(),
            reason=rating.status,
            usage=reply.usage.model_dump() if reply.usage else {},
        )


@cache
def instructions() -> str:
    return files(__package__).joinpath("prompts", "annotate.txt").read_text(encoding="utf-8")


def rating_schema(steps: Sequence[str]) -> dict[str, Any]:
    """A strict JSON schema. Steps are keys: not every provider enforces the length of a list."""
    return _record(
        {
            SUCCEEDED: _record({name: {"type": "integer", "enum": [0, 1]} for name in steps}),
            CONTRIBUTION: _record({name: {"type": "integer", "enum": list(RATINGS)} for name in steps}),
            STATUS: {"type": "string", "enum": list(SOLVED)},
        }
    )


def parse_rating(text: str, steps: Sequence[str]) -> Rating:
    """A reply's rating. Raises `JudgeError("invalid")` for anything but exactly one of each kind for each step."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise JudgeError("the reply is not one complete JSON object", "invalid") from None
    _check_keys("the reply", value, (SUCCEEDED, CONTRIBUTION, STATUS))
    for part, allowed in ((SUCCEEDED, range(2)), (CONTRIBUTION, RATINGS)):
        _check_keys(part, value[part], steps)
        for name in steps:
            if type(value[part][name]) is not int or value[part][name] not in allowed:
                raise JudgeError(f"{part} of {name} is not a whole number from 0 to {allowed[-1]}", "invalid")
    if not isinstance(value[STATUS], str) or value[STATUS] not in SOLVED:
        raise JudgeError(f"{STATUS} is not one of {', '.join(SOLVED)}", "invalid")
    return Rating(
        succeeded=[value[SUCCEEDED][name] == 1 for name in steps],
        contributions=[value[CONTRIBUTION][name] for name in steps],
        status=value[STATUS],
    )


def _check_finished(request: JudgeRequest) -> None:
    if request.steps or request.candidates[-1].action != ANSWER:
        raise JudgeError(
            "steptool_annotator rates finished trajectories: name it as steptool.annotator, not as the judge", "config"
        )


def _record(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _check_keys(what: str, value: Any, names: Sequence[str]) -> None:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise JudgeError(f"{what} does not have exactly the keys {', '.join(names) or '(none)'}", "invalid")


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [SteptoolAnnotator]
