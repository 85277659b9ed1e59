"""StepTool's Contribution: how much a step contributed to the final answer."""

from __future__ import annotations

from spark_framework.api import RewardTerm, Step, Trajectory, hookimpl


class Contribution(RewardTerm):
    """The annotators' mean rating of the step, in [0, 1]; without annotations a tenth of the score that the judge
    gave when the step was taken. 0 for the closing answer."""

    name = "contribution"

    def value(self, step: Step, trajectory: Trajectory) -> float:
        if step.is_answer:
            return 0.0
        if step.marks:
            return step.marks["contribution"]
        if step.score is None:
            raise ValueError("contribution needs annotations or a judge's score: set steptool.annotator")
        return step.score / 10


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [Contribution]
