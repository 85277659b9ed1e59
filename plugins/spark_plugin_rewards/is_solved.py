"""StepTool's IsSolved: whether the final answer solves the question."""

from __future__ import annotations

from spark_framework.api import RewardTerm, Step, Trajectory, hookimpl


class IsSolved(RewardTerm):
    """The annotators' mean rating of the closing answer, of 1, 0.5 (unsure) and 0; without annotations 1 where the
    answer is right, else 0. 0 for all other steps."""

    name = "is_solved"

    def value(self, step: Step, trajectory: Trajectory) -> float:
        if not step.is_answer:
            return 0.0
        return step.marks["is_solved"] if step.marks else float(trajectory.correct)


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [IsSolved]
