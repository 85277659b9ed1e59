"""StepTool's reward composition: r_t = alpha SuccCalling + Contribution before the last step, r_T = IsSolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Literal

from ..errors import DataError
from ..records import THINK, Record, Step, Trajectory

Status = Literal["Solved", "Unsure", "Unsolved"]
SOLVED: Mapping[Status, float] = {"Solved": 1.0, "Unsure": 0.5, "Unsolved": 0.0}
"""IsSolved of each status; also a query's weight in the pass rate."""
MOST_CONTRIBUTION = 5
"""Upper bound of contributions, which annotators rate in whole numbers from 0."""


class Annotation(Record):
    """One annotator's ratings of a finished trajectory. Each repeat of an annotator is an annotation."""

    succeeded: tuple[bool, ...]
    """For each step but the last: the call succeeded."""
    contributions: tuple[int, ...]
    """For each step but the last: its contribution to the final answer, 0 to 5."""
    status: Status
    """Whether the final answer solves the query."""


class RewardComponents(Record):
    """The components of the reward, each in [0, 1]: means over all annotations."""

    succ_calling: tuple[float, ...]
    """One for each step but the last."""
    contribution: tuple[float, ...]
    """One for each step but the last."""
    is_solved: float


def average_annotations(annotations: Sequence[Annotation]) -> RewardComponents:
    """The mean of some annotations of one trajectory.

    Raises:
        DataError: there are none, they differ in the number of steps, or a contribution is not in 0 … 5.
    """
    lengths = {len(part) for one in annotations for part in (one.succeeded, one.contributions)}
    if len(lengths) != 1:
        raise DataError(
            f"the annotations of one trajectory have {sorted(lengths) or 'no'} steps; they need the same number"
        )
    if not all(0 <= value <= MOST_CONTRIBUTION for one in annotations for value in one.contributions):
        raise DataError(f"a contribution is a whole number from 0 to {MOST_CONTRIBUTION}")
    return RewardComponents(
        succ_calling=tuple(fmean(column) for column in zip(*(one.succeeded for one in annotations), strict=True)),
        contribution=tuple(
            fmean(column) / MOST_CONTRIBUTION
            for column in zip(*(one.contributions for one in annotations), strict=True)
        ),
        is_solved=fmean(SOLVED[one.status] for one in annotations),
    )


def compose_rewards(components: RewardComponents, alpha: float = 1.0) -> list[float]:
    """One reward for each step, the last included, all in [0, 1].

    (alpha SuccCalling + Contribution) / (alpha + 1), and IsSolved for the last. The paper gives no alpha; 1 gives the
    rewards in the released data.
    """
    steps = zip(components.succ_calling, components.contribution, strict=True)
    return [*((alpha * succeeded + gave) / (alpha + 1) for succeeded, gave in steps), components.is_solved]


def with_annotations(
    trajectory: Trajectory, components: RewardComponents, repeats: Mapping[str, RewardComponents] = MappingProxyType({})
) -> Trajectory:
    """The trajectory with the components as its steps' `marks`, which the reward terms read.

    Args:
        repeats: the components of each repeat by its name; stored as `succ_calling/NAME` and so on.

    Raises:
        DataError: the number of steps differs. Thoughts may go without marks.
    """
    earlier = [step for step in trajectory.steps if not step.is_answer]
    if len(earlier) != len(components.succ_calling):
        earlier = [step for step in earlier if step.candidate.action != THINK]
    if len(earlier) != len(components.succ_calling):
        raise DataError(
            f"trajectory {trajectory.id} has {len(earlier)} steps before its answer; its annotations have "
            f"{len(components.succ_calling)}"
        )
    named = {"": components, **{f"/{name}": one for name, one in repeats.items()}}
    numbers = {id(step): number for number, step in enumerate(earlier)}

    def marks_of_step(step: Step) -> dict[str, float]:
        if step.is_answer:
            return {f"is_solved{name}": one.is_solved for name, one in named.items()}
        if (number := numbers.get(id(step))) is None:
            return {}
        succeeded = {f"succ_calling{name}": one.succ_calling[number] for name, one in named.items()}
        return succeeded | {f"contribution{name}": one.contribution[number] for name, one in named.items()}

    steps = tuple(step.model_copy(update={"marks": marks_of_step(step)}) for step in trajectory.steps)
    return trajectory.model_copy(update={"steps": steps})


def marks_of_steps(trajectory: Trajectory) -> RewardComponents:
    """The components that `with_annotations` stored.

    Raises:
        DataError: there are none, or the trajectory ends without an answer.
    """
    *earlier, closing = trajectory.steps
    calls = [step.marks for step in earlier if step.candidate.action != THINK]
    if "is_solved" not in closing.marks or not all("contribution" in marks for marks in calls):
        raise DataError(f"trajectory {trajectory.id} has no annotations: import them with it, or name a judge")
    return RewardComponents(
        succ_calling=tuple(marks["succ_calling"] for marks in calls),
        contribution=tuple(marks["contribution"] for marks in calls),
        is_solved=closing.marks["is_solved"],
    )


def repeats_of(trajectory: Trajectory) -> dict[str, RewardComponents]:
    """The components of each repeat, as given to `with_annotations`."""
    *_, closing = trajectory.steps
    before = [step.marks for step in trajectory.steps[:-1] if step.marks]
    names = [key.partition("/")[2] for key in closing.marks if key.startswith("is_solved/")]
    return {
        name: RewardComponents(
            succ_calling=tuple(marks[f"succ_calling/{name}"] for marks in before),
            contribution=tuple(marks[f"contribution/{name}"] for marks in before),
            is_solved=closing.marks[f"is_solved/{name}"],
        )
        for name in names
    }
