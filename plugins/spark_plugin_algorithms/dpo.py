"""`dpo`: direct preference optimisation on the candidates of one state (arXiv 2305.18290)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Any

from pydantic import Field

from spark_framework.api import (
    Algorithm,
    DataError,
    FilteredStageConfig,
    StageData,
    TokenTree,
    TreeAlgorithm,
    hookimpl,
)

from .candidates import candidate_trees

if TYPE_CHECKING:
    from torch import Tensor

    from spark_framework.api import LogProbs, TreeReading, TreeTensors, UpdateMetrics


class DPO(TreeAlgorithm):
    """Of two candidates in one state, prefer the one that the judge scored higher."""

    name = "dpo"

    class Config(FilteredStageConfig):
        beta: float = Field(default=0.1, gt=0)
        """How strongly the policy is kept near the one that the stage starts from: larger values let it move less. It
        is fixed."""
        margin: float = Field(default=1.0, ge=0)
        """In points: two candidates are a pair if their scores differ by more than this."""

    def rows(self, data: StageData) -> Sequence[TokenTree]:
        margin, config = self.config.margin, self.config

        def in_a_pair(score: float, scores: Sequence[float]) -> bool:
            return any(abs(score - other) > margin for other in scores)

        rows = candidate_trees(data, config, lambda one, depth, scores: scores, in_a_pair)
        if found := [row for row in rows if preference_pairs(row, margin)]:
            return found
        raise DataError(
            f"stage {data.stage}: in round {config.data}, no state has two candidates whose scores differ by more than "
            f"{margin:g}; lower stages.{data.stage}.margin, or have a judge that tells candidates apart score the round"
        )

    def examples(self, data: StageData) -> None:
        return None

    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Any:
        chosen, rejected, weights = zip(*preference_pairs(row.tree, self.config.margin), strict=True)
        policy_D, reference_D = candidate_logp(row.tensors, row.logp), candidate_logp(row.tensors, row.reference)
        reward_D = self.config.beta * (policy_D - reference_D)
        better_P, worse_P = reward_D[list(chosen)], reward_D[list(rejected)]
        metrics.mean("rewards/chosen", better_P)
        metrics.mean("rewards/rejected", worse_P)
        metrics.mean("rewards/margins", better_P - worse_P)
        metrics.mean("rewards/accuracies", (better_P > worse_P).to(reward_D))
        metrics.distance(row.tree, row.logp, row.reference)
        return dpo_loss(better_P, worse_P, reward_D.new_tensor(weights))


def preference_pairs(row: TokenTree, margin: float) -> list[tuple[int, int, float]]:
    """Every two candidates of a state whose scores (`reward`) differ by more than a margin: the better one, the worse
    one, the pair's weight. Each state weighs the same, and in a state each pair; the weights sum to 1."""
    pairs = [
        (better, worse, one.state_position)
        for (better, one), (worse, other) in permutations(enumerate(row.decisions), 2)
        if one.state_position == other.state_position and one.reward - other.reward > margin
    ]
    sizes = Counter(state for _, _, state in pairs)
    return [(better, worse, 1 / (sizes[state] * len(sizes))) for better, worse, state in pairs]


def candidate_logp(row: TreeTensors, logp: LogProbs) -> Tensor:
    """log pi of each candidate [D] in nats: of its action where it was drawn from the head, and of all its tokens."""
    return (row.constrained_D * logp.action_D).index_add(0, row.owner_T, logp.token_T)


def dpo_loss(better_P: Tensor, worse_P: Tensor, weight_P: Tensor) -> Tensor:
    """The weighted mean over P pairs of -log sigmoid(r_better - r_worse), with the implicit rewards
    r = beta * log(pi / reference) (Rafailov et al. 2023, eq. 7)."""
    from torch.nn.functional import logsigmoid

    return -(weight_P * logsigmoid(better_P - worse_P)).sum()


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [DPO]
