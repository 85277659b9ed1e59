"""`rft`: rejection-sampling fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spark_framework.api import (
    Algorithm,
    StageData,
    TokenTree,
    filtered_questions,
    hookimpl,
    question_trees,
)

from .penalty import PenalisedAlgorithm, PenaltyConfig

if TYPE_CHECKING:
    from spark_framework.api import TreeReading, UpdateMetrics


class RFT(PenalisedAlgorithm):
    """Imitate the actions and inputs of successful trajectories, under the KL penalty."""

    name = "rft"
    Config = PenaltyConfig

    def rows(self, data: StageData) -> Sequence[TokenTree]:
        config = self.config.model_copy(update={"require_a_success": True})
        questions = filtered_questions(data, config, only_success=True)
        return question_trees(data, questions, lambda one: self.rewards(one, data))

    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Any:
        from spark_framework.api import spark_maths as maths

        return self.penalty(row, metrics) + maths.sft_loss(row.tensors, row.logp, only_success=True)


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [RFT]
