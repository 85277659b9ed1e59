"""`terse`: a judge without a model. What ran and said little is worth doing."""

from pydantic import Field
from spark_framework.api import (
    THINK,
    Candidate,
    ComponentConfig,
    Judge,
    JudgeError,
    JudgeRequest,
    Verdict,
    hookimpl,
)


class Terse(Judge):
    """8 for a call with a short observation, 7 with a long one, 3 for a thought, 1 for a failure."""

    name = "terse"

    class Config(ComponentConfig):
        short: int = Field(default=60, ge=1)
        """Characters of an observation that counts as short."""

    def score(self, request: JudgeRequest) -> Verdict:
        if any(candidate.ok is None for candidate in request.candidates):
            raise JudgeError("terse reads observations: set `execute: all` in the round", "config")
        return Verdict(
            scores=tuple(self._score(candidate) for candidate in request.candidates),
            process_ok=tuple(bool(candidate.ok) for candidate in request.candidates),
            judge=self.name,
            fingerprint=self.fingerprint(),
        )

    def _score(self, candidate: Candidate) -> float:
        if not candidate.ok:
            return 1.0
        if candidate.action == THINK:
            return 3.0
        return 8.0 if len(candidate.observation or "") <= self.config.short else 7.0


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Terse]
