"""`group`: every candidate of a state learns, by how it compares with the others (as GRPO does, arXiv 2402.03300)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from spark_framework.api import Algorithm, DataError, StageData, TokenTree, Trajectory, hookimpl, term_value

from .candidates import Values, candidate_trees, chosen_values, state_numbers
from .penalty import PenalisedAlgorithm, PenaltyConfig

if TYPE_CHECKING:
    from torch import Tensor

    from spark_framework.api import TreeReading, UpdateMetrics

EQUAL = 1e-5
"""A group whose values have a smaller standard deviation counts as equal: smaller differences are rounding."""


class Group(PenalisedAlgorithm):
    """Clipped policy gradient on all candidates of a state, with advantages from their own group. It has no critic."""

    name = "group"
    watches_entropy = True

    class Config(PenaltyConfig):
        clip: float = Field(default=0.2, gt=0, lt=1)
        """The ratio to the stored policy counts between 1 - clip and 1 + clip."""
        rho: float = Field(default=0.0, ge=0, le=1)
        """Weight of the diversity terms; 1 - rho weighs the judge's score."""

    def rewards(self, trajectory: Trajectory, data: StageData) -> list[float]:
        return chosen_values(trajectory, self._values_with(data))

    def rows(self, data: StageData) -> Sequence[TokenTree]:
        rows = candidate_trees(data, self.config, self._values_with(data))
        if any(map(_differs, rows)):
            return rows
        raise DataError(
            f"stage {data.stage}: in round {self.config.data}, the candidates of every state are worth the same; set "
            f"stages.{data.stage}.rho to another value (it is {self.config.rho:g}), or have a judge that tells "
            "candidates apart score the round"
        )

    def _values_with(self, data: StageData) -> Values:
        """What each candidate of a step is worth, as if it had been chosen."""
        from spark_framework.api import spark_maths as maths

        rho = self.config.rho

        def values(one: Trajectory, depth: int, scores: Sequence[float]) -> list[float]:
            if rho == 0:
                return [score / 10 for score in scores]
            diversity = [_diversity(one, depth, number, data) for number in range(len(scores))]
            return [maths.step_reward(d, score / 10, rho) for d, score in zip(diversity, scores, strict=True)]

        return values

    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Any:
        from spark_framework.api import spark_maths as maths

        tensors, logp, old, clip = row.tensors, row.logp, row.old, self.config.clip
        advantage_D = group_advantages(tensors.reward_D, tensors.owner_T.new_tensor(state_numbers(row.tree)))
        metrics.surrogate(logp, old, clip)
        metrics.advantages(row.tree, advantage_D)
        return self.penalty(row, metrics) + maths.ppo_loss(tensors, logp, old, advantage_D, clip)


def _diversity(one: Trajectory, depth: int, number: int, data: StageData) -> float:
    """The diversity terms of a step, with another candidate chosen."""
    step = one.steps[depth].model_copy(update={"chosen": number})
    instead = one.model_copy(update={"steps": (*one.steps[:depth], step, *one.steps[depth + 1 :])})
    return sum(weight * term_value(term, step, instead) for weight, term in data.diversity)


def group_advantages(value_D: Tensor, group_D: Tensor) -> Tensor:
    """(value - mean) / standard deviation within each group, over the group itself (population), so that it has mean 0
    and variance 1; 0 where all values of a group are equal.

    Args:
        group_D: number of each decision's group.
    """
    size_G = group_D.bincount().to(value_D)
    gap_D = value_D - (value_D.new_zeros(len(size_G)).index_add(0, group_D, value_D) / size_G)[group_D]
    std_D = (value_D.new_zeros(len(size_G)).index_add(0, group_D, gap_D**2) / size_G).sqrt()[group_D]
    return gap_D / std_D.clamp(min=EQUAL) * (std_D > EQUAL)


def _differs(row: TokenTree) -> bool:
    """Whether a group of the row has an advantage other than 0."""
    import torch

    value_D = torch.tensor([d.reward for d in row.decisions])
    return bool(group_advantages(value_D, torch.tensor(state_numbers(row))).any())


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [Group]
