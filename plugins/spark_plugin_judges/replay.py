"""A judge that returns recorded verdicts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

from spark_framework.api import (
    ComponentConfig,
    Judge,
    JudgeError,
    JudgeRequest,
    UserError,
    Verdict,
    hookimpl,
    recorded_verdicts,
    step_digest,
)


class Replay(Judge):
    """Gives the recorded verdict on a step: of another run, of `rejudge`, or shipped as data.

    A step is found by its content (question, calls so far, candidates with their observations), not by its place. A
    step that was not recorded gets no verdict. If the recorded judge is an oracle, so is this one; the verdict's
    reason names the recorded judge.
    """

    name = "replay"

    class Config(ComponentConfig):
        verdicts: Path
        """A file of recorded verdicts (`RUN/rejudged/NAME.jsonl`), or a run folder."""

    def __init__(self, config: ComponentConfig | None = None) -> None:
        super().__init__(config)
        self._lock = threading.Lock()
        self._found: tuple[Mapping[str, Verdict], str] | None = None

    def prepare(self) -> None:
        self._recorded()

    def fingerprint(self) -> str:
        """Covers the content of the recorded verdicts, not their path."""
        return self._recorded()[1]

    def score(self, request: JudgeRequest) -> Verdict:
        try:
            recorded, fingerprint = self._recorded()
        except UserError as exc:
            raise JudgeError(str(exc), "config") from exc
        verdict = recorded.get(step_digest(request))
        if verdict is None:
            raise JudgeError(
                f"{self.config.verdicts} has no verdict on question {request.question.id!r}, step "
                f"{len(request.steps)} with these candidates: it was recorded for other calls or observations",
                "invalid",
            )
        source = f"recorded from {verdict.judge} {verdict.fingerprint}"
        return verdict.model_copy(
            update={
                "judge": self.name,
                "fingerprint": fingerprint,
                "reason": f"{source}: {verdict.reason}" if verdict.reason else source,
                "usage": {},
            }
        )

    def _recorded(self) -> tuple[Mapping[str, Verdict], str]:
        """The verdicts, and the fingerprint of all of them."""
        with self._lock:
            if self._found is None:
                verdicts = recorded_verdicts(self.config.verdicts)
                digest = hashlib.sha256(self.name.encode())
                for step, verdict in sorted(verdicts.items()):
                    digest.update(f"\n{step} {verdict.model_dump_json()}".encode())
                self._found = verdicts, digest.hexdigest()[:16]
            return self._found


@hookimpl
def spark_judges() -> list[type[Judge]]:
    return [Replay]
