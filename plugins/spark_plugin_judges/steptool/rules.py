"""StepTool's annotator without a model: rules about each reply, and how much of it is in the final answer."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from spark_framework.api import (
    ANSWER,
    THINK,
    Candidate,
    ComponentConfig,
    Judge,
    JudgeError,
    JudgeRequest,
    Question,
    Verdict,
    hookimpl,
    resolve_answer,
)

FAILURES = ("wrong", "error", "is empty")
"""Words that mark a JSON string as an error message."""


class SteptoolRules(Judge):
    """Rates the steps of a finished trajectory, for `steptool.annotator`.

    | what               | rule                                                                                       |
    |--------------------|--------------------------------------------------------------------------------------------|
    | the call succeeded | it ran, and its reply is not an error object, a status 400 or an error message             |
    | contribution       | 10 where the share of the reply's characters that recur in the final answer, in order (longest common subsequence), is at least `overlap`; else 0 |
    | the final answer   | 10 or 0 where the right option is known; 0 where there is no answer; else 5, unsure        |
    """  # noqa: E501

    name = "steptool_rules"
    uses_gold = True

    class Config(ComponentConfig):
        overlap: float = Field(default=0.3, ge=0, le=1)
        """Share of a reply that the final answer has to hold."""

    def score(self, request: JudgeRequest) -> Verdict:
        *done, closing = request.candidates
        if request.steps or closing.action != ANSWER:
            raise JudgeError(
                "steptool_rules rates finished trajectories: name it as steptool.annotator, not as the judge", "config"
            )
        gave = [overlap(_reply(one), closing.text) >= self.config.overlap for one in done]
        solved = _solved(closing, request.question)
        return Verdict(
            scores=(*(10.0 * one for one in gave), solved),
            process_ok=(*map(call_succeeded, done), solved == 10),
            judge=self.name,
            fingerprint=self.fingerprint(),
        )


def call_succeeded(candidate: Candidate) -> bool:
    """Whether a call ran and its reply does not report an error."""
    if candidate.arguments is None or candidate.ok is False:
        return False
    try:
        reply = json.loads(candidate.observation or "")
    except (ValueError, RecursionError):  # plain text, or JSON that was cut
        return True
    if isinstance(reply, dict):
        return not reply.get("error") and reply.get("status") != 400
    if isinstance(reply, str):
        return not reply.startswith("Please") and not any(word in reply for word in FAILURES)
    return True


def overlap(reply: str, answer: str) -> float:
    """Length of the longest common subsequence of characters, as a share of the reply; 0 for an empty reply.

    One machine word of a row at a time (Hyyrö 2004): a reply of 2,000 and an answer of 2,000 characters take 1 ms.
    """
    places: dict[str, int] = {}
    for at, character in enumerate(reply):
        places[character] = places.get(character, 0) | 1 << at
    everywhere = (1 << len(reply)) - 1
    row = everywhere  # a zero for each character of the reply that the subsequence holds
    for character in answer:
        matches = row & places.get(character, 0)
        row = ((row + matches) | (row - matches)) & everywhere
    return (len(reply) - row.bit_count()) / len(reply) if reply else 0.0


def _reply(candidate: Candidate) -> str:
    """The reply without ToolBench's envelope `{"error": "", "response": …}`, which may have been cut."""
    if candidate.action == THINK:
        return str((candidate.arguments or {}).get("thought", candidate.text))
    text = candidate.observation or ""
    begin = '{"error": "", "response": '
    if not text.startswith(begin):
        return text
    try:
        return str(json.loads(text)["response"])
    except (ValueError, RecursionError):
        return text[len(begin) :]


def _solved(closing: Candidate, question: Question) -> float:
    arguments: dict[str, Any] = closing.arguments or {}
    answer = str(arguments.get("final_answer", arguments.get("text", "")))
    if not answer.strip() or arguments.get("return_type", "give_answer") != "give_answer":
        return 0.0
    if question.answer is None:
        return 5.0
    return 10.0 if resolve_answer(answer, question.options) == question.answer else 0.0


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [SteptoolRules]
