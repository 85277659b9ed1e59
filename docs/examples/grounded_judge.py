"""`grounded`: a judge without a model. A call should work with what is known, not with numbers from nowhere."""

import re

from pydantic import Field
from spark_framework.api import THINK, Candidate, ComponentConfig, Judge, JudgeRequest, Verdict, hookimpl


class Grounded(Judge):
    """8 for a call whose numbers were all seen before, 3 for a thought, 1 for a call that failed."""

    name = "grounded"

    class Config(ComponentConfig):
        foreign: float = Field(default=4.0, ge=0, le=10)
        """Score of a call with a number that nobody has seen before."""

    def score(self, request: JudgeRequest) -> Verdict:
        observed = [step.candidate.observation or "" for step in request.steps]
        known = numbers(" ".join([request.question.text, *observed]))
        return Verdict(
            scores=tuple(self._score(candidate, known) for candidate in request.candidates),
            process_ok=tuple(runs(candidate) for candidate in request.candidates),
            judge=self.name,
            fingerprint=self.fingerprint(),
        )

    def _score(self, candidate: Candidate, known: set[float]) -> float:
        if not runs(candidate):
            return 1.0
        if candidate.action == THINK:
            return 3.0
        return 8.0 if numbers(str(candidate.arguments)) <= known else self.config.foreign


def runs(candidate: Candidate) -> bool:
    """`arguments` is None where they could not be read, `ok` is None where the call was not executed."""
    return candidate.arguments is not None and candidate.ok is not False


def numbers(text: str) -> set[float]:
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)}


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Grounded]
