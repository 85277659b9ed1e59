"""The correctness term of the SPaRK reward: a penalty for unsound steps and wrong answers."""

from __future__ import annotations

from spark_framework.api import ComponentConfig, RewardTerm, Step, Trajectory, hookimpl


class ProcessPenalty(RewardTerm):
    """-(1 - process_ok): -1 for a step that the judge calls unsound, or a closing answer that is wrong; else 0."""

    name = "process_penalty"

    class Config(ComponentConfig):
        needs_correct_answer: bool = False
        """Count every step of a trajectory that ends in a wrong answer as unsound."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        return (
            0.0
            if trajectory.process_ok(step) and (trajectory.correct or not self.config.needs_correct_answer)
            else -1.0
        )


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [ProcessPenalty]
