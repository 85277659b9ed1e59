"""StepTool's SuccCalling: whether the call of a step succeeded."""

from __future__ import annotations

from spark_framework.api import RewardTerm, Step, Trajectory, hookimpl


class SuccCalling(RewardTerm):
    """The annotators' mean rating of the call, in [0, 1]; without annotations 1 where the call was valid and
    succeeded, else 0. 0 for the closing answer."""

    name = "succ_calling"

    def value(self, step: Step, trajectory: Trajectory) -> float:
        if step.is_answer:
            return 0.0
        return step.marks["succ_calling"] if step.marks else float(step.candidate.ok is True)


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [SuccCalling]
