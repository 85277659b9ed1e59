"""Figures go to the trackers that a stage names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_framework import train
from spark_framework.errors import ConfigError
from tests.runs import STAGE

DATA = {**STAGE, "data": "demonstrations"}
Runs = Callable[..., Path]
ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip


def test_figures_go_to_tensorboard(demonstrations: Runs, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stage = {**DATA, "kind": "ppo", "report_to": ["tensorboard"]}
    run = demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND)
    train(run, "ppo")
    (events,) = (run / "train" / "ppo").rglob("events.out.tfevents.*")
    seen = EventAccumulator(str(events.parent))
    seen.Reload()
    lines = [json.loads(line) for line in (run / "train/ppo/log.jsonl").read_text().splitlines()]
    for figure in ("loss", "kl", "beta", "tool_entropy", "advantage/answer"):
        expected = [line[figure] for line in lines if "loss" in line]
        assert [one.value for one in seen.Scalars(f"train/{figure}")] == pytest.approx(expected, rel=1e-5), figure


@pytest.mark.parametrize(
    ("tracker", "text"),
    [
        ("tensorbord", "stages.ppo.report_to: there is no tracker tensorbord; trackers: azure_ml, clearml"),
        ("clearml", "stages.ppo.report_to: clearml is not installed; run `pip install clearml`, or leave it out"),
    ],
)
def test_a_tracker_that_is_not_there_is_one_line(demonstrations: Runs, tmp_path: Path, tracker: str, text: str) -> None:
    stage = {**DATA, "kind": "ppo", "report_to": [tracker]}
    run = demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND)
    with pytest.raises(ConfigError, match=text):
        train(run, "ppo")
    assert not (run / "train").exists()
