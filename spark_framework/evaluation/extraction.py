"""Extracts the answers of an evaluation as MMLU-Pro does."""

from __future__ import annotations

from ..questions.grading import answer_text, official_answer
from ..records import Trajectory


def officially_graded(trajectory: Trajectory) -> Trajectory:
    """The trajectory with its answer read as MMLU-Pro's own script reads it."""
    question = trajectory.question
    answer = official_answer(answer_text(trajectory.steps[-1].candidate), question.options)
    return trajectory.model_copy(update={"answer": answer, "correct": answer is not None and answer == question.answer})
