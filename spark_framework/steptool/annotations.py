"""StepTool's reward annotations: repeated ratings of each query's answer."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from ..errors import DataError
from ..judging.marks import (
    MOST_CONTRIBUTION,
    SOLVED,
    Annotation,
    Status,
    average_annotations,
    repeats_of,
    with_annotations,
)
from ..records import THINK, Record, Step, Trajectory
from .predictions import SOURCE, ToolMessage, called, message_of, open_question

LONGEST_STEP = 200_000
"""Most characters of a written step that are read."""


class ProcessReward(Record):
    """One annotator's ratings of the steps of an answer, without the final one."""

    succeed_tool_calling: tuple[Literal[0, 1], ...]
    contributions: tuple[Annotated[int, Field(ge=0, le=5)], ...]


class AnnotatedAnswer(Record):
    """One query's answer with its annotations."""

    query: str
    tool_names: tuple[str, ...]
    answer_steps: tuple[str, ...]
    """`Step k: {name, arguments, response}` as Python writes it."""
    process_reward: dict[str, ProcessReward]
    """By the number of the repeat: `0`, `1` …"""
    final_step: str
    is_solved: dict[str, Annotated[str, StringConstraints(pattern=r"^AnswerStatus\.(Solved|Unsure|Unsolved)$")]]
    """By the number of the repeat."""

    @model_validator(mode="after")
    def _fits(self) -> AnnotatedAnswer:
        if not self.process_reward or self.process_reward.keys() != self.is_solved.keys():
            raise ValueError("process_reward and is_solved need the same repeats, at least one")
        for repeat, one in self.process_reward.items():
            if {len(one.succeed_tool_calling), len(one.contributions)} != {len(self.answer_steps)}:
                raise ValueError(f"repeat {repeat} does not rate each of the {len(self.answer_steps)} steps once")
        return self

    def by_repeat(self) -> dict[str, Annotation]:
        """The annotations by their repeat."""
        return {
            repeat: Annotation(
                succeeded=tuple(map(bool, one.succeed_tool_calling)),
                contributions=one.contributions,
                status=_status(self.is_solved[repeat]),
            )
            for repeat, one in self.process_reward.items()
        }

    def annotations(self) -> list[Annotation]:
        """One for each repeat."""
        return list(self.by_repeat().values())


def trajectory_of(query_id: str, answer: AnnotatedAnswer, *, round_name: str = SOURCE, index: int = 0) -> Trajectory:
    """The answer as a marked trajectory; `annotated_answer` gives it back.

    Raises:
        DataError: a step is not written as StepTool writes it.
    """
    written = [*answer.answer_steps, answer.final_step]
    steps = tuple(Step(candidates=(called(query_id, _message(query_id, text)),)) for text in written)
    plain = Trajectory(
        id=f"{round_name}/{index}/0", round=round_name, index=index, question=open_question(query_id, answer.query),
        steps=steps, answer=None, correct=False,
    )  # fmt: skip
    return annotated_trajectory(query_id, [plain], answer)[0]


def annotated_trajectory(query_id: str, branches: Sequence[Trajectory], answer: AnnotatedAnswer) -> list[Trajectory]:
    """The branches of a query, with marks on the one that was annotated.

    Raises:
        DataError: none of them is the annotated answer.
    """
    repeats = {name: average_annotations([one]) for name, one in answer.by_repeat().items()}
    means = average_annotations(answer.annotations())
    found = [written_steps(one) == [*answer.answer_steps, answer.final_step] for one in branches]
    if not any(found):
        raise DataError(f"query {query_id}: the annotations belong to another answer")
    return [with_annotations(one, means, repeats) if fits else one for one, fits in zip(branches, found, strict=True)]


def annotated_answer(trajectory: Trajectory, tool_names: Sequence[str]) -> AnnotatedAnswer:
    """A marked trajectory in StepTool's form.

    Raises:
        DataError: it has no annotations, or some that are not integers from 0 to 5.
    """
    *earlier, final = written_steps(trajectory)
    repeats = repeats_of(trajectory)
    try:
        return AnnotatedAnswer(
            query=trajectory.question.text, tool_names=tuple(tool_names), answer_steps=tuple(earlier),
            process_reward={
                name: ProcessReward(
                    succeed_tool_calling=one.succ_calling,  # type: ignore[arg-type]
                    contributions=tuple(MOST_CONTRIBUTION * gave for gave in one.contribution),  # type: ignore[misc]
                )
                for name, one in repeats.items()
            },
            final_step=final,
            is_solved={name: f"AnswerStatus.{_nearest(one.is_solved)}" for name, one in repeats.items()},
        )  # fmt: skip
    except ValidationError as exc:
        raise DataError(f"trajectory {trajectory.id}: {exc.errors(include_url=False)[0]['msg']}") from None


def written_steps(trajectory: Trajectory) -> list[str]:
    """Calls and final step as StepTool's annotators read them; thoughts are left out."""
    calls = [step for step in trajectory.steps if step.candidate.action != THINK]
    names = [*(f"Step {number}" for number in range(1, len(calls))), "Final step"]
    return [f"{name}: {message_of(step).model_dump()!r}" for name, step in zip(names, calls, strict=True)]


def _message(query_id: str, written: str) -> ToolMessage:
    _, _, literal = written.partition(": ")
    try:
        if len(written) > LONGEST_STEP:
            raise ValueError
        return ToolMessage.model_validate(ast.literal_eval(literal))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise DataError(
            f"query {query_id}: a step is not written as `Step k: {{'name': …, 'arguments': …, 'response': …}}`"
        ) from None


def _status(written: str) -> Status:
    return next(status for status in SOLVED if written.endswith(f".{status}"))


def _nearest(is_solved: float) -> Status:
    return min(SOLVED, key=lambda status: abs(SOLVED[status] - is_solved))
