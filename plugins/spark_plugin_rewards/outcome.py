"""The outcome of the episode as a reward: whether the final answer is right."""

from __future__ import annotations

from typing import Literal

from spark_framework.api import ComponentConfig, RewardTerm, Step, Trajectory, hookimpl


class Outcome(RewardTerm):
    """1 where the trajectory's answer is right, else 0."""

    name = "outcome"

    class Config(ComponentConfig):
        at: Literal["last", "every"] = "last"
        """Pay at the last step only, or at every step."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        paid = self.config.at == "every" or step == trajectory.steps[-1]
        return 1.0 if paid and trajectory.correct else 0.0


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [Outcome]
