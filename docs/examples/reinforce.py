"""`reinforce`: REINFORCE with the mean reward as its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field
from spark_framework.api import Algorithm, FilteredStageConfig, TreeAlgorithm, Work, hookimpl

if TYPE_CHECKING:
    from spark_framework.api import TreeReading, UpdateMetrics
    from torch import Tensor


class Reinforce(TreeAlgorithm):
    """Raises the probability of decisions that earned more than the mean, and lowers that of the others."""

    name = "reinforce"

    class Config(FilteredStageConfig):
        baseline: float = Field(default=1.0, ge=0, le=1)
        """Share of the mean reward that is subtracted from each reward."""

    @property
    def work(self) -> Work:
        return Work(reference=False)

    def advantages(self, rewards: Sequence[Tensor], values: Sequence[Tensor]) -> list[Tensor]:
        import torch

        mean = torch.cat(list(rewards)).mean()
        return [reward_D - self.config.baseline * mean for reward_D in rewards]

    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Tensor:
        metrics.advantages(row.tree, row.advantage_D)
        gain_T = row.advantage_D[row.tensors.owner_T] * row.logp.token_T
        return -row.tensors.weighted(row.advantage_D * row.logp.action_D, gain_T)


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [Reinforce]
