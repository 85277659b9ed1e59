"""The scripted proposer: an expert's call for the actions of a plan, and an unhelpful call for every other action."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spark_framework.records import THINK, Call, Question

from . import calls

QUERY_WORDS = 4


def propose(question: Question, step: int, actions: Sequence[str]) -> list[Call]:
    """One call for each action, in the actions' order, for step `step` (from 0) of a question.

    The planned call where the plan has the action in this step; else a call of the same tool that runs but does not
    help; for a tool that practice does not know, a call without arguments. It depends on the arguments alone.
    """
    planned = {call.action: call for call in question.plan[step]} if step < len(question.plan) else {}
    return [planned.get(action) or unhelpful_call(question, action) for action in actions]


def answer_text(question: Question) -> str:
    """The text of the right option. ValueError where the answer is withheld."""
    if question.answer is None:
        raise ValueError(f"question {question.id!r} has no stored answer")
    return question.options[question.answer]


def is_done(question: Question, step: int) -> bool:
    """Whether the plan has no step `step` (from 0) any more, so that it is time to answer."""
    return step >= len(question.plan)


def unhelpful_call(question: Question, action: str) -> Call:
    """A call of `action` that is valid, deterministic, and of no help with the question."""
    number = _number_of_no_option(question)
    words = re.findall(r"[A-Za-z]+", question.text) or ["question"]
    opening = " ".join(words[:QUERY_WORDS])
    match action:
        case "calculator":
            return calls.calculator(number)
        case "python":
            return calls.printed(str(int(number)))
        case "solver":
            return calls.solver("eval", number)
        case "science":
            return calls.convert(int(number), "m", "cm")
        case "stats_finance":
            return calls.stats_finance("describe", values=[int(number), int(number)], fn="mean")
        case "encyclopedia":
            return calls.encyclopedia(opening)
        case "dictionary":
            return calls.dictionary(max(words, key=len).lower())
        case "search":
            return calls.search(opening)
    return calls.think("I am not sure.") if action == THINK else Call(action=action)


def _number_of_no_option(question: Question) -> str:
    """The first integer of the question that is in no option; else 0."""
    in_options = {number for option in question.options for number in re.findall(r"\d+", option)}
    return next((number for number in re.findall(r"\d+", question.text) if number not in in_options), "0")
