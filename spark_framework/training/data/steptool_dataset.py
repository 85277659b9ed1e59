"""From trajectories, or from StepTool's CSV, to the rows of stage steptool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...config.training import StageConfig
from ...contracts.components import RewardTerm
from ...errors import DataError
from ...records import Trajectory
from .ppo_csv import PpoExample, read_ppo_csv
from .rewards import step_rewards
from .steptool_rows import csv_row, trajectory_row
from .token_tree import Row


def trajectory_rows(stage: StageConfig, trajectories: Iterable[Trajectory], max_tokens: int) -> list[Row]:
    """A row for each trajectory that passes the stage's filters, with the rewards of the stage's terms."""
    terms = _terms(stage)
    return [trajectory_row(one, terms, max_tokens) for one in passing(stage, trajectories)]


def trajectory_examples(stage: StageConfig, trajectories: Iterable[Trajectory], tokenizer: Any) -> list[PpoExample]:
    """The same trajectories and rewards as text, for StepTool's CSV: what was generated, decoded.

    Raises:
        DataError: a text-only policy wrote one of them.
    """
    terms = _terms(stage)

    def text(ids: Sequence[int]) -> str:
        return tokenizer.decode(ids, clean_up_tokenization_spaces=False)  # type: ignore[no-any-return]

    def example(one: Trajectory) -> PpoExample:
        if not all(step.candidate.token_ids for step in one.steps):
            raise DataError(f"trajectory {one.id} holds no token ids: a text-only policy wrote it")
        return PpoExample(
            prompts=(text(one.prompt_ids), *(text(step.context_ids) for step in one.steps[:-1])),
            responses=tuple(text(step.candidate.token_ids) for step in one.steps),
            rewards=tuple(step_rewards(one, (), terms, rho=0.0)),
        )

    return [example(one) for one in passing(stage, trajectories)]


def csv_rows(stage: StageConfig, tokenizer: Any, max_tokens: int) -> list[Row]:
    """A row for each row of the stage's CSV."""
    section = stage.steptool
    assert section is not None
    assert section.csv is not None

    def tokenise(text: str, special: bool) -> Sequence[int]:
        return tokenizer(text, add_special_tokens=special).input_ids  # type: ignore[no-any-return]

    return [
        csv_row(f"{section.csv}, row {number}", example, tokenise, section, max_tokens)
        for number, example in enumerate(read_ppo_csv(section.csv), 1)
    ]


def passing(stage: StageConfig, trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """The trajectories that the stage learns from. DataError where there is none."""
    data = list(trajectories)
    won = {one.index for one in data if one.success}
    kept = [one for one in data if _passes(stage, one) and (one.index in won or not stage.require_a_success)]
    if not kept:
        raise DataError(
            f"stage {stage.kind}: no trajectory of round {stage.data} passes its filters; loosen require_* keys"
        )
    return kept


def _passes(stage: StageConfig, trajectory: Trajectory) -> bool:
    sound = not stage.require_process_ok or all(map(trajectory.process_ok, trajectory.steps))
    return sound and (trajectory.correct or not stage.require_correct)


def _terms(stage: StageConfig) -> list[tuple[float, RewardTerm]]:
    assert stage.steptool is not None
    return [
        (choice.weight, term)
        for choice in stage.steptool.reward
        if isinstance(term := choice.build(), RewardTerm)  # the config has checked the kinds
    ]
