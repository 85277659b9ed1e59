"""`ppo`: offline PPO with rho = 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from spark_framework.api import Algorithm, CriticConfig, Work, hookimpl

from .penalty import PenalisedAlgorithm, PenaltyConfig

if TYPE_CHECKING:
    from spark_framework.api import TreeReading, UpdateMetrics


class PPOConfig(PenaltyConfig):
    """Settings of offline PPO."""

    clip: float = Field(default=0.2, gt=0, lt=1)
    """Ratios count within [1 - clip, 1 + clip]."""
    old_policy: Literal["behaviour", "refresh"] = "behaviour"
    """The ratio's denominator: the stored behaviour policy, or the policy at the start of each epoch."""
    replay: float = Field(default=0.0, ge=0)
    """Weight of a loss that imitates the inputs of successful steps, added to PPO's loss; the paper has none."""
    normalise: bool = True
    """Divide advantages by their standard deviation."""
    critic: CriticConfig = CriticConfig()
    """The value function."""


class PPO(PenalisedAlgorithm):
    """Offline PPO on the process reward, with a critic and the KL penalty."""

    name = "ppo"
    Config = PPOConfig
    watches_entropy = True

    @property
    def critic(self) -> CriticConfig:
        critic: CriticConfig = self.config.critic
        return critic

    @property
    def refreshes(self) -> bool:
        return bool(self.config.old_policy == "refresh")

    @property
    def work(self) -> Work:
        return Work(reads=1 if self.refreshes else 0)

    def advantages(self, rewards: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
        from spark_framework.api import spark_maths as maths

        return maths.advantages(rewards, values, normalise=self.config.normalise)

    def loss(self, row: TreeReading, metrics: UpdateMetrics) -> Any:
        from spark_framework.api import spark_maths as maths

        config, tensors, logp, old, advantage_D = self.config, row.tensors, row.logp, row.old, row.advantage_D
        loss = self.penalty(row, metrics)
        loss = loss + maths.ppo_loss(tensors, logp, old, advantage_D, config.clip)
        metrics.surrogate(logp, old, config.clip)
        metrics.advantages(row.tree, advantage_D)
        if config.replay and tensors.success_D.any():
            loss = loss + config.replay * maths.sft_loss(tensors, logp, actions=False, only_success=True)
        return loss


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [PPO]
