"""Stage steptool trains on StepTool's CSV and on the framework's own trajectories."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spark_framework import RunConfig, train
from spark_framework.api import hookimpl
from spark_framework.errors import ConfigError, DataError
from spark_framework.host.loading import Host, using_host
from spark_framework.policy.models import load_model, load_tokenizer
from spark_framework.steptool.files import write_ppo_csv
from spark_framework.steptool.trainer import StepTrainer
from spark_framework.training.base import whole_checkpoint
from tests.runs import STAGE, config
from tests.steptool.episodes import EXAMPLES

Runs = Callable[..., Path]
STEP = {**STAGE, "kind": "steptool", "batch_size": 3, "max_grad_norm": 1.0}


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Five rows: one whole batch of three and one of two."""
    path = tmp_path / "train.csv"
    write_ppo_csv(path, [*EXAMPLES, *EXAMPLES, EXAMPLES[0]])
    return path


def settings(tiny: Path, run: Path, csv: Path, **steptool: Any) -> RunConfig:
    stage = {**STEP, "epochs": 2, "steptool": {"csv": str(csv), "passes": 2, **steptool}}
    return config(tiny, run, stages={"steptool": stage}, rollouts=[{"name": "explore"}])


def log(adapter: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (adapter.parent / "log.jsonl").read_text().splitlines()]


def weights(adapter: Path) -> dict[str, torch.Tensor]:
    return load_file(adapter / "adapter_model.safetensors")


def watched(monkeypatch: pytest.MonkeyPatch) -> list[StepTrainer]:
    """The trainers that are made from now on."""
    made: list[StepTrainer] = []
    plain = StepTrainer.__init__

    def init(self: StepTrainer, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(StepTrainer, "__init__", init)
    return made


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_steptools_csv_is_trained_on_without_a_round(
    tiny: Path, tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch, compat: str
) -> None:
    made = watched(monkeypatch)
    adapter = train(settings(tiny, tmp_path / "run", csv, compat=compat), "steptool")
    figures = [entry for entry in log(adapter) if "loss" in entry]
    assert figures
    for name in ("loss", "policy_loss", "value_loss", "kl", "kl_coef", "ratio", "clip_fraction"):
        assert all(math.isfinite(entry[name]) for entry in figures), name
    assert made[0].state.global_step == 8  # 2 epochs of 2 batches with 2 passes each
    assert figures[0]["kl"] == 0  # nothing has moved yet
    assert all(tensor.abs().max() > 0 for key, tensor in weights(adapter).items() if "lora_B" in key)
    head = made[0].agent.value_head
    assert head is not None
    assert all(parameter.abs().max() > 0 for parameter in head.parameters())


def test_the_stage_reads_the_models_own_log_probabilities(
    tiny: Path, tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is log pi of every response token, given all that came before it."""
    made = watched(monkeypatch)
    train(settings(tiny, tmp_path / "run", csv), "steptool")
    model, tokenizer = load_model(str(tiny), dtype="float32", device="cpu"), load_tokenizer(str(tiny))
    ids, mask = [], []
    for prompt, response in zip(EXAMPLES[1].prompts, EXAMPLES[1].responses, strict=True):
        for text, wanted in ((prompt, False), (response, True)):
            part = tokenizer(text, add_special_tokens=False).input_ids
            ids += part
            mask += [wanted] * len(part)
    with torch.no_grad():
        logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [float(logp[at - 1, ids[at]]) for at in range(1, len(ids)) if mask[at]]
    assert made[0].reference[1].tolist() == pytest.approx(expected, abs=1e-4)


def test_released_whitens_over_the_batch_and_paper_pays_the_last_step(
    tiny: Path, tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, list[torch.Tensor]] = {}
    plain = StepTrainer.begin_batch

    def begin_batch(self: StepTrainer, indices: Any) -> None:
        plain(self, indices)
        first.setdefault(self.section.compat, [self.batch[index]["return"] for index in indices])
        advantage = torch.cat([kept["advantage"] for kept in self.batch.values()])
        assert float(advantage.mean()) == pytest.approx(0, abs=1e-5)
        assert float(advantage.std()) == pytest.approx(1, abs=1e-4)

    monkeypatch.setattr(StepTrainer, "begin_batch", begin_batch)
    for compat in ("paper", "released"):
        train(settings(tiny, tmp_path / compat, csv, compat=compat), "steptool")
    rewards = {round(example.rewards[-1], 2) for example in EXAMPLES}
    assert {round(float(one[-1]), 2) for one in first["paper"]} <= rewards
    assert not {round(float(one[-1]), 2) for one in first["released"]} & rewards


ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip


@pytest.mark.parametrize("compat", ["paper", "released"])
def test_own_trajectories_are_trained_on(demonstrations: Runs, tmp_path: Path, compat: str) -> None:
    """The rewards come from what is stored: the call's success, the judge's score, the right answer."""
    stage = {**STEP, "data": "demonstrations", "steptool": {"compat": compat, "passes": 2}}
    adapter = train(demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND), "st")
    assert all(math.isfinite(entry["loss"]) for entry in log(adapter) if "loss" in entry)
    assert all(tensor.abs().max() > 0 for key, tensor in weights(adapter).items() if "lora_B" in key)


def test_rewards_are_succ_calling_and_contribution_and_then_is_solved(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_framework.run_folder import existing_run

    made = watched(monkeypatch)
    stage = {**STEP, "data": "demonstrations", "steptool": {"passes": 1}}
    run = demonstrations(tmp_path / "run", stages={"st": stage}, rollouts=ROUND)
    train(run, "st")
    trajectories = list(existing_run(run).trajectories().read("demonstrations"))
    assert len(made[0].rows) == len(trajectories)
    for row, trajectory in zip(made[0].rows, trajectories, strict=True):
        *earlier, closing = trajectory.steps
        expected = [(float(step.candidate.ok is True) + (step.score or 0) / 10) / 2 for step in earlier]
        assert row.score_S.tolist() == pytest.approx([*expected, float(trajectory.correct)])
        assert closing.is_answer


# -- interruptions and mistakes --------------------------------------------------------------------------------------


class Saboteur:
    """Interrupts the program when the trainer logs at or after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def spark_update_finished(self, stage: str, metrics: Any) -> None:
        if metrics["step"] >= self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("save_steps", [1, 3])
def test_an_interrupted_stage_ends_as_an_uninterrupted_one(
    tiny: Path, tmp_path: Path, csv: Path, save_steps: int
) -> None:
    """Interrupted at the fifth step; the last checkpoint is in the middle of a batch, or between two."""

    def run(name: str) -> RunConfig:
        plain = settings(tiny, tmp_path / name, csv).model_dump(mode="json")
        plain["stages"]["steptool"] |= {"save_steps": save_steps, "epochs": 3}
        return RunConfig.model_validate(plain)

    expected = weights(train(run("whole"), "steptool"))
    host = Host()
    host.register(Saboteur(5))
    with using_host(host), pytest.raises(KeyboardInterrupt):
        train(run("cut"), "steptool")
    assert whole_checkpoint(tmp_path / "cut" / "train" / "steptool" / "checkpoints") is not None
    resumed = weights(train(run("cut"), "steptool"))
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[key], tensor) for key, tensor in expected.items())


def test_a_damaged_csv_ends_the_stage_before_anything_is_written(tiny: Path, tmp_path: Path) -> None:
    csv = tmp_path / "train.csv"
    csv.write_text("prompt\tresponse\treward\n['a']\t['b']\t['c']\n")
    with pytest.raises(DataError, match="row 1: the reward of step 1 is 'c'"):
        train(settings(tiny, tmp_path / "run", csv), "steptool")
    assert not (tmp_path / "run" / "train").exists()


def test_a_section_steptool_in_another_stage_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ValueError), match="stage of kind ppo takes no section steptool"):
        config(
            tiny, tmp_path, stages={"ppo": {"kind": "ppo", "data": "demonstrations", "steptool": {}}}, rollouts=ROUND
        )
