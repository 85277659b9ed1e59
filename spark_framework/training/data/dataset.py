"""The data of a stage, and the rows that most algorithms make from it: one per question."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...contracts.stage import FilteredStageConfig
from ...errors import DataError
from ...records import Trajectory
from .rewards import WeightedTerms
from .token_tree import TokenTree, build_tree


@dataclass(frozen=True)
class StageData:
    """The data from which an algorithm makes its rows. No weights are needed."""

    stage: str
    """The stage's name, for messages."""
    questions: Sequence[Sequence[Trajectory]]
    """The trajectories of the stage's round, by question; empty if the algorithm reads its own file."""
    diversity: WeightedTerms
    process: WeightedTerms
    """The diversity and process terms of the run's `reward` section."""
    threshold: float
    """A candidate is viable if its score is above this value."""
    max_tokens: int
    """The model's context length in tokens."""
    tokenizer: Callable[[], Any]
    """Loads the policy's tokenizer."""

    def nothing_left(self, data: str) -> DataError:
        """The error for a stage whose filters remove every trajectory."""
        return DataError(
            f"stage {self.stage}: no trajectory of round {data} passes its filters; loosen its require_* keys"
        )


def filtered_questions(
    data: StageData, config: FilteredStageConfig, *, only_success: bool = False,
    branches: Collection[int] | None = None,
) -> Iterator[list[Trajectory]]:  # fmt: skip
    """The trajectories of each question that pass a stage's `require_*` filters; questions without any are skipped.

    Args:
        only_success: the value of `require_process_ok` and `require_correct` if the config has None.
        branches: numbers of the branches to use; None uses all.

    Raises:
        DataError: no question is left.
    """
    need_ok = only_success if config.require_process_ok is None else config.require_process_ok
    need_correct = only_success if config.require_correct is None else config.require_correct
    found = False
    for trajectories in data.questions:
        question = [t for t in trajectories if branches is None or t.branch in branches]
        if config.require_a_success and not any(t.success for t in question):
            continue
        kept = [t for t in question if (t.correct or not need_correct) and (not need_ok or is_sound(t))]
        if kept:
            found = True
            yield kept
    if not found:
        raise data.nothing_left(config.data)


def is_sound(trajectory: Trajectory) -> bool:
    """Whether every step is process_ok."""
    return all(map(trajectory.process_ok, trajectory.steps))


def question_trees(
    data: StageData, questions: Iterable[Sequence[Trajectory]], rewards: Callable[[Trajectory], list[float]]
) -> list[TokenTree]:
    """One row for each question, from the trajectories given.

    Args:
        rewards: the reward of each step of a trajectory.
    """
    return [build_tree(kept, {t.id: rewards(t) for t in kept}, max_tokens=data.max_tokens) for kept in questions]
