"""`spark`: SPaRK, offline PPO with the diversity reward (arXiv 2507.11371)."""

from __future__ import annotations

from pydantic import Field

from spark_framework.api import (
    Algorithm,
    StageData,
    TokenTree,
    Trajectory,
    hookimpl,
    step_rewards,
    with_action_probs,
)

from .ppo import PPO, PPOConfig


class Spark(PPO):
    """Offline PPO on rho * diversity + (1 - rho) * process."""

    name = "spark"

    class Config(PPOConfig):
        rho: float = Field(default=0.5, ge=0, le=1)
        """Weight of the diversity terms; 1 - rho weighs the process terms."""

    def rewards(self, trajectory: Trajectory, data: StageData) -> list[float]:
        from spark_framework.api import spark_maths as maths

        rho = self.config.rho
        process = step_rewards(trajectory, data.process)
        diversity = step_rewards(trajectory, data.diversity) if rho > 0 else [0.0] * len(process)
        return [maths.step_reward(d, p, rho) for d, p in zip(diversity, process, strict=True)]

    def refreshed_rewards(self, row: TokenTree, probs: list[dict[str, float]], data: StageData) -> list[float]:
        current = with_action_probs(row.trajectories, probs)
        return [reward for trajectory in current for reward in self.rewards(trajectory, data)]


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [Spark]
