"""Question sets: where the questions of a run come from."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field

from spark_framework.records import Question

from .mmlu_pro import MmluProConfig, MmluProQuestions
from .practice import PracticeConfig, PracticeQuestions

__all__ = ["MmluProConfig", "PracticeConfig", "QuestionSet", "QuestionsConfig", "open_questions"]


class QuestionSet(Protocol):
    """Questions in two disjoint splits. The same config and seed give the same questions in the same order."""

    name: str
    revision: str | None
    """The commit of the hub dataset that was loaded; None where the questions come from elsewhere."""

    def train(self, start: int, count: int) -> list[Question]:
        """`count` training questions from number `start` on; DataError where the split has fewer."""
        ...

    def test(self, count: int | None) -> list[Question]:
        """The first `count` held-out questions, or the set's own number where None; DataError where there are fewer."""
        ...

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with the content."""
        ...


QuestionsConfig = Annotated[PracticeConfig | MmluProConfig, Field(discriminator="use")]


def open_questions(config: PracticeConfig | MmluProConfig, seed: int) -> QuestionSet:
    """The question set of a configuration. ConfigError or DataError where it cannot be read."""
    if isinstance(config, MmluProConfig):
        return MmluProQuestions(config, seed)
    return PracticeQuestions(config, seed)
