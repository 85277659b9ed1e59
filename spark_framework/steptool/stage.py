"""From trajectories, or from StepTool's CSV, to the rows of stage steptool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..config import StageConfig
from ..contracts import RewardTerm
from ..errors import DataError
from ..records import Trajectory
from ..training.rows import Row
from .files import read_ppo_csv
from .rows import csv_row, trajectory_row


def trajectory_rows(stage: StageConfig, trajectories: Iterable[Trajectory], max_tokens: int) -> list[Row]:
    """A row for each trajectory that passes the stage's filters, with the rewards of the stage's terms."""
    assert stage.steptool is not None
    terms = [
        (choice.weight, term)
        for choice in stage.steptool.reward
        if isinstance(term := choice.build(), RewardTerm)  # the config has checked the kinds
    ]
    rows = [trajectory_row(one, terms, max_tokens) for one in trajectories if _passes(stage, one)]
    if not rows:
        raise DataError(
            f"stage {stage.kind}: no trajectory of round {stage.data} passes its filters; loosen require_* keys"
        )
    return rows


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


def _passes(stage: StageConfig, trajectory: Trajectory) -> bool:
    sound = not stage.require_process_ok or all(map(trajectory.process_ok, trajectory.steps))
    return sound and (trajectory.correct or not stage.require_correct)
