"""`sft`: imitate judged steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from spark_framework.api import (
    Algorithm,
    Candidate,
    FilteredStageConfig,
    StageData,
    TokenTree,
    TreeAlgorithm,
    Work,
    add_candidates,
    filtered_questions,
    hookimpl,
    question_trees,
)

if TYPE_CHECKING:
    from spark_framework.api import TreeReading, UpdateMetrics


class SFT(TreeAlgorithm):
    """Supervised fine-tuning: imitate the actions and inputs of sound trajectories that end right."""

    name = "sft"

    class Config(FilteredStageConfig):
        sft_branches: Literal["viable", "chosen"] = "viable"
        """Learn every branch and every viable candidate of the first step, or only what the selector chose."""

    @property
    def work(self) -> Work:
        return Work(reference=False)

    def rows(self, data: StageData) -> Sequence[TokenTree]:
        viable = self.config.sft_branches == "viable"
        rows = []
        for question in filtered_questions(data, self.config, only_success=True, branches=None if viable else (0,)):
            (row,) = question_trees(data, [question], lambda one: self.rewards(one, data))
            first = question[0]
            if viable and not first.steps[0].is_answer:
                taken = {decision.action for decision in row.decisions if decision.depth == 0}
                add_candidates(row, first, 0, partial(_is_new, taken, data.threshold))
            rows.append(row)
        return rows

    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Any:
        from spark_framework.api import spark_maths as maths

        return maths.sft_loss(row.tensors, row.logp)


def _is_new(taken: set[str], threshold: float, number: int, candidate: Candidate, score: float) -> bool:
    return score > threshold and candidate.action not in taken


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [SFT]
