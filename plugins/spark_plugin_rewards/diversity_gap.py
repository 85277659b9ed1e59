"""The diversity term of the SPaRK reward: how far below the best candidate the chosen one was scored."""

from __future__ import annotations

from typing import Literal

from spark_framework.api import ComponentConfig, RewardTerm, Step, Trajectory, hookimpl


class DiversityGap(RewardTerm):
    """Best score of the step minus the score of the chosen candidate; 0 for the closing answer."""

    name = "diversity_gap"

    class Config(ComponentConfig):
        scale: Literal["unit", "paper"] = "unit"
        """`unit` divides the gap by 10; `paper` keeps points, with which the term dominates all others."""
        only_when_ok: bool = False
        """Reward the gap only where the chosen step is sound."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        if step.verdict is None or (self.config.only_when_ok and not trajectory.process_ok(step)):
            return 0.0
        gap = max(step.verdict.scores) - step.verdict.scores[step.chosen]
        return gap if self.config.scale == "paper" else gap / 10


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [DiversityGap]
