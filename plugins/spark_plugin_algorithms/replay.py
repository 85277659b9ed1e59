"""`replay`: the control for PPO with a replay term."""

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


class Replay(PenalisedAlgorithm):
    """Imitate the inputs of successful steps only, with advantage 0 for actions, under the KL penalty."""

    name = "replay"
    Config = PenaltyConfig

    def rows(self, data: StageData) -> Sequence[TokenTree]:
        config = self.config.model_copy(update={"require_a_success": True})
        return question_trees(data, filtered_questions(data, config), lambda one: self.rewards(one, data))

    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Any:
        from spark_framework.api import spark_maths as maths

        penalty = self.penalty(row, metrics)
        return penalty + maths.sft_loss(row.tensors, row.logp, actions=False, only_success=True)


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [Replay]
