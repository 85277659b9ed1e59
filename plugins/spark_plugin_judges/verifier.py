"""A judge that needs no API key: it compares the candidates' observations with the stored answer and plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from spark_framework.api import (
    THINK,
    Call,
    Candidate,
    Judge,
    JudgeError,
    JudgeRequest,
    Question,
    Step,
    Verdict,
    hookimpl,
    match_option,
)

SHORT, LONG = 40, 200
"""Lengths of an observation in characters: up to the first it is direct, above the second it is long."""
COVERED = 0.75
"""Share of a planned call's terms that a call and its observation must hold to count as the planned one."""

Finding = Literal["invalid", "failed", "wrong", "nothing", "advance", "right"]
_TERM = re.compile(r"[^\W\d]\w+|\d+(?:\.\d+)?")
_COMMON = frozenset(
    re.findall(r"\w+", "a an and are at by for from how in is it of on or print that the to was what which")
)


@dataclass(frozen=True)
class _State:
    """What is known before a step: all terms seen so far, and how many steps of the plan are done."""

    question: Question
    known: frozenset[str]
    done: int = 0
    sound: bool = True

    def after(self, step: Step) -> _State:
        chosen = step.candidate
        finding = self.finding(chosen)
        return _State(
            self.question,
            self.known | _terms(_evidence(chosen)),
            self.done + (finding == "advance"),
            # A failed call does not mislead; a call that pointed to a wrong option does.
            self.sound and finding != "wrong",
        )

    def finding(self, candidate: Candidate) -> Finding:
        if candidate.arguments is None:
            return "invalid"
        if candidate.ok is False:
            return "failed"
        planned = self._is_planned(candidate)
        singled_out = match_option(_evidence(candidate), self.question.options)
        if singled_out is not None and singled_out == self.question.answer:
            return "right"
        if planned and (singled_out is None or self.done + 1 < len(self.question.plan)):
            return "advance"  # an intermediate value can look like a wrong option
        return "nothing" if singled_out is None else "wrong"

    def is_grounded(self, candidate: Candidate) -> bool:
        """All numbers of the call were seen before; where it has none, at least one of its words."""
        terms = _terms(_call_text(candidate.arguments))
        numbers = _numbers(terms)
        return numbers <= self.known if numbers else bool(terms & self.known)

    def _is_planned(self, candidate: Candidate) -> bool:
        alternatives = self.question.plan[self.done] if self.done < len(self.question.plan) else ()
        called, observed = _terms(_call_text(candidate.arguments)), _terms(_evidence(candidate))
        return any(_covers(called, observed, call) for call in alternatives if call.action == candidate.action)


class Verifier(Judge):
    """Fixed arithmetic on executed candidates. It reads the stored answer: an oracle heuristic, not a GPT-4o stand-in.

    | finding                                                                | score                     |
    |------------------------------------------------------------------------|---------------------------|
    | the arguments cannot be read                                           | 0                         |
    | the call failed                                                        | 1                         |
    | it points to a wrong option                                            | 2                         |
    | it ran, but settles nothing                                            | 2, grounded or `think`: 3 |
    | it is the next call of the question's plan (also where it was not run) | 7                         |
    | `think` points to the right option                                     | 7                         |
    | a tool points to the right option                                      | 8                         |
    | … and the observation has at most 40 characters                        | +1                        |
    | … and the call is grounded: its numbers were seen before               | +1                        |
    | … and the observation has more than 200 characters                     | -1                        |

    "Points to" is `match_option`: exactly one option is singled out. A planned call that is not the last one may point
    anywhere. A candidate is process_ok where it scores 7 or more and no earlier step pointed to a wrong option.
    """

    name = "verifier"
    uses_gold = True

    def score(self, request: JudgeRequest) -> Verdict:
        if request.question.answer is None:
            raise JudgeError("the verifier needs questions with their stored answer: choose another judge", "config")
        state = _State(request.question, _terms(request.question.text))
        for step in request.steps:
            state = state.after(step)
        findings = [state.finding(candidate) for candidate in request.candidates]
        return Verdict(
            scores=tuple(_score(f, c, state) for f, c in zip(findings, request.candidates, strict=True)),
            process_ok=tuple(state.sound and finding in ("advance", "right") for finding in findings),
            judge=self.name,
            fingerprint=self.fingerprint(),
            reason="; ".join(f"{c.action}: {f}" for f, c in zip(findings, request.candidates, strict=True)),
        )


def _score(finding: Finding, candidate: Candidate, state: _State) -> float:
    thinks = candidate.action == THINK
    if finding == "nothing":
        return 3.0 if thinks or state.is_grounded(candidate) else 2.0
    if finding != "right" or thinks:
        return {"invalid": 0.0, "failed": 1.0, "wrong": 2.0, "advance": 7.0, "right": 7.0}[finding]
    length = len(candidate.observation or "")
    return 8.0 + (length <= SHORT) + state.is_grounded(candidate) - (length > LONG)


def _evidence(candidate: Candidate) -> str:
    """What a candidate adds to the evidence: a tool's observation, or the thought itself."""
    if candidate.action == THINK:
        return _call_text(candidate.arguments) or candidate.thought
    return candidate.observation or ""


def _covers(called: frozenset[str], observed: frozenset[str], planned: Call) -> bool:
    """Whether a call is the planned one: it has all its numbers and, with its observation, most of its terms."""
    wanted = _terms(_call_text(planned.arguments))
    return _numbers(wanted) <= called and len(wanted & (called | observed)) >= COVERED * len(wanted)


def _call_text(arguments: dict[str, Any] | None) -> str:
    return " ".join(_leaves(arguments))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield str(value)


def _terms(text: str) -> frozenset[str]:
    """Words in lower case and numbers in one spelling. A number with separators counts as written and as joined."""
    joined = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    found = (match[0] for source in {text, joined} for match in _TERM.finditer(source))
    return frozenset(f"{float(term):.12g}" if term[0].isdigit() else term.casefold() for term in found) - _COMMON


def _numbers(terms: Iterable[str]) -> frozenset[str]:
    return frozenset(term for term in terms if term[0].isdigit())


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Verifier]
