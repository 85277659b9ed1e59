"""Several judges as one."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field, model_validator

from spark_framework.api import ComponentConfig, Judge, JudgeError, JudgeRequest, JudgeSpec, Verdict, hookimpl

COMBINED: dict[str, Callable[[Sequence[float]], float]] = {"mean": statistics.fmean, "median": statistics.median}


class Jury(Judge):
    """Asks every member and gives each candidate the mean (or median) of their scores.

    A candidate is process_ok when more than half of the members that answered agree. `spread` is the population
    standard deviation of their scores; each member's scores are in the verdict's reason. A member that fails is left
    out only where `quorum` allows it, and is then named there.

    All members get the step's own seed, so that replies are shared with runs of a member alone. For two orders of the
    candidates by one LLM judge list it twice, once with `repeat: 1`.
    """

    name = "jury"

    class Config(ComponentConfig):
        members: tuple[JudgeSpec, ...] = Field(min_length=2)
        """Judges, each with its settings."""
        aggregate: Literal["mean", "median"] = "mean"
        """How the members' scores combine into one."""
        quorum: int | None = Field(default=None, ge=1)
        """How many members have to answer; None: all. With fewer there is no verdict."""

        @model_validator(mode="after")
        def _make_a_jury(self) -> Jury.Config:
            for k, member in enumerate(self.members):
                if any((member.cls, member.config) == (other.cls, other.config) for other in self.members[:k]):
                    raise ValueError(f"member {member.name} is listed twice with the same settings")
            if self.quorum is not None and self.quorum > len(self.members):
                raise ValueError(f"a quorum of {self.quorum} cannot be met by {len(self.members)} members")
            return self

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        built = [choice.build() for choice in self.config.members]
        self.members = tuple(member for member in built if isinstance(member, Judge))
        self.uses_gold = any(member.uses_gold for member in self.members)

    def parts(self) -> Sequence[Judge]:
        return self.members

    def prepare(self) -> None:
        for member in self.members:
            member.prepare()

    def close(self) -> None:
        for member in self.members:
            member.close()

    def fingerprint(self) -> str:
        """Covers the members' fingerprints, in order."""
        members = [member.fingerprint() for member in self.members]
        text = f"{super().fingerprint()}\n{members}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def score(self, request: JudgeRequest) -> Verdict:
        verdicts: list[Verdict] = []
        reasons: list[str] = []
        failed: list[str] = []
        quorum = self.config.quorum or len(self.members)
        for member in self.members:
            try:
                verdict = _complete_verdict(member, request)
            except JudgeError as exc:
                if exc.kind in ("config", "budget"):
                    raise
                failed.append(f"{member.name} gave no verdict ({exc.kind}: {exc})")
                if len(self.members) - len(failed) < quorum:  # asking the others cannot change that
                    text = f"no quorum of {quorum} out of {len(self.members)} members: {'; '.join(failed)}"
                    raise JudgeError(text, exc.kind) from exc
            else:
                verdicts.append(verdict)
                reasons.append(f"{member.name} {' '.join(f'{score:g}' for score in verdict.scores)}")
        scores = list(zip(*(verdict.scores for verdict in verdicts), strict=True))
        votes = zip(*(verdict.process_ok for verdict in verdicts), strict=True)
        return Verdict(
            scores=tuple(map(COMBINED[self.config.aggregate], scores)),
            process_ok=tuple(2 * sum(vote) > len(vote) for vote in votes),
            judge=self.name,
            fingerprint=self.fingerprint(),
            reason="; ".join(reasons + failed),
            spread=tuple(map(statistics.pstdev, scores)),
        )


def _complete_verdict(member: Judge, request: JudgeRequest) -> Verdict:
    """A member's complete verdict. Only members that use the gold answer see it, whatever the other members use."""
    verdict = member.score(request if member.uses_gold else request.without_gold())
    if len(verdict.scores) != len(request.candidates):
        raise JudgeError(f"{len(verdict.scores)} scores for {len(request.candidates)} candidates", "invalid")
    return verdict


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Jury]
