"""A reader who follows one update of PPO opens five files of training/, and the maths is on one screen."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import spark_framework
from spark_framework.training.data.token_tree import build_tree
from tests.training.trees import actor, algorithm, trainer_of
from tests.training.trees import tree as branches

TRAINING = Path(spark_framework.__file__).parent / "training"


def test_one_update_enters_five_files_of_training(tiny: Path, tmp_path: Path) -> None:
    question = branches()
    row = build_tree(question, {one.id: [0.5] * len(one.steps) for one in question}, max_tokens=2048)
    made = trainer_of(algorithm("ppo", batch_size=1), actor(tiny), [row], tmp_path)
    inputs = made.data_collator([0])
    entered: set[str] = set()

    def enter(frame: FrameType, event: str, arg: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(TRAINING):
            entered.add(str(file.relative_to(TRAINING)))

    sys.setprofile(enter)
    try:
        made.training_step(made.model, inputs)
    finally:
        sys.setprofile(None)
    assert entered == {
        "algorithms/spark.py", "model/actor_critic.py", "model/token_logprobs.py", "trainers/metrics.py",
        "trainers/tree_trainer.py",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["spark", "steptool"])
def test_an_algorithms_maths_is_on_one_screen(name: str) -> None:
    assert len((TRAINING / "algorithms" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 120
