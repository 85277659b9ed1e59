"""A judge with fixed scores for each action: for tests, tutorials and as a control."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spark_framework.api import ComponentConfig, Judge, JudgeRequest, Verdict, hookimpl

Score = Annotated[float, Field(ge=0, le=10)]


class Scripted(Judge):
    """Looks the verdict up by the candidate's action."""

    name = "scripted"

    class Config(ComponentConfig):
        scores: dict[str, Score] = Field(default_factory=dict)
        """Action -> score."""
        process_ok: dict[str, bool] = Field(default_factory=dict)
        """Action -> whether the step is sound with it."""
        default_score: Score = 5.0
        """For actions that `scores` does not name."""
        default_process_ok: bool = True
        """For actions that `process_ok` does not name."""

    def score(self, request: JudgeRequest) -> Verdict:
        actions = [candidate.action for candidate in request.candidates]
        return Verdict(
            scores=tuple(self.config.scores.get(action, self.config.default_score) for action in actions),
            process_ok=tuple(self.config.process_ok.get(action, self.config.default_process_ok) for action in actions),
            judge=self.name,
            fingerprint=self.fingerprint(),
        )


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Scripted]
