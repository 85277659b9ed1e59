"""Every stage trains, saves what peft can load, and goes on after an interruption as if there had been none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spark_framework import train
from spark_framework.api import hookimpl
from spark_framework.host.loading import Host, using_host
from spark_framework.policy.models import load_model
from spark_framework.training.base import STATE, whole_checkpoint
from spark_framework.training.trainer import SparkTrainer
from tests.runs import STAGE

DATA = {**STAGE, "data": "demonstrations"}
Runs = Callable[..., Path]

VARIANTS = {
    "sft": {"kind": "sft"},
    "sft_chosen": {"kind": "sft", "sft_branches": "chosen"},
    "replay": {"kind": "replay"},
    "rft": {"kind": "rft"},
    "ppo_separate": {"kind": "ppo"},
    "ppo_frozen": {"kind": "ppo", "critic": {"kind": "frozen_features"}},
    "ppo_refresh": {"kind": "ppo", "old_policy": "refresh"},
    "spark": {"kind": "spark", "rho": 0.7, "replay": 0.5, "beta": 3.0},
}


def weights(adapter: Path) -> dict[str, torch.Tensor]:
    return load_file(adapter / "adapter_model.safetensors")


def log(adapter: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (adapter.parent / "log.jsonl").read_text().splitlines()]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")  # from peft, in the way a user loads it
@pytest.mark.parametrize("name", VARIANTS)
def test_every_stage_trains_and_can_be_loaded(tiny: Path, demonstrations: Runs, tmp_path: Path, name: str) -> None:
    from peft import AutoPeftModelForCausalLM

    run = demonstrations(tmp_path / "run", stages={name: {**DATA, **VARIANTS[name], "epochs": 2}}, rollouts=ROUND)
    adapter = train(run, name)
    assert adapter == run / "train" / name / "adapter"
    assert [path.name for path in adapter.parent.iterdir() if path.is_dir()] == ["adapter"]
    losses = [entry["loss"] for entry in log(adapter) if "loss" in entry]
    assert losses
    assert all(abs(loss) < 1e3 for loss in losses)
    moved = [tensor for key, tensor in weights(adapter).items() if "lora_B" in key]
    assert moved
    assert all(tensor.abs().max() > 0 for tensor in moved)  # B begins at zero
    model = AutoPeftModelForCausalLM.from_pretrained(adapter)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        trained = model(ids).logits
        with model.disable_adapter():
            base = model(ids).logits
        assert not torch.equal(trained, base)
        assert torch.equal(base, load_model(str(tiny), dtype="float32", device="cpu")(ids).logits)


ROUND = [{"name": "demonstrations", "proposer": "scripted", "questions": 6, "branches": 3, "branch_among": "policy",
          "wave_size": 2}]  # fmt: skip


def watched(monkeypatch: pytest.MonkeyPatch) -> list[SparkTrainer]:
    """The trainers that are made from now on."""
    made: list[SparkTrainer] = []
    plain = SparkTrainer.__init__

    def init(self: SparkTrainer, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(SparkTrainer, "__init__", init)
    return made


@pytest.mark.parametrize("critic", ["separate", "frozen_features"])
def test_actor_and_critic_learn_and_the_base_does_not(
    tiny: Path, demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, critic: str
) -> None:
    made = watched(monkeypatch)
    before: dict[str, torch.Tensor] = {}
    plain = SparkTrainer.begin_epoch

    def begin_epoch(self: SparkTrainer, epoch: int) -> None:
        plain(self, epoch)
        if epoch == 0:
            before.update({n: p.detach().clone() for n, p in self.agent.model.named_parameters()})
            before.update({f"head.{n}": p.detach().clone() for n, p in self.agent.value_head.named_parameters()})

    monkeypatch.setattr(SparkTrainer, "begin_epoch", begin_epoch)
    stage = {**DATA, "kind": "ppo", "epochs": 2, "critic": {"kind": critic, "warmup_epochs": 0, "lr": 1e-3}}
    train(demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND), "ppo")
    (trainer,) = made
    after = dict(trainer.agent.model.named_parameters())
    after.update({f"head.{n}": p for n, p in trainer.agent.value_head.named_parameters()})
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in before if ".default." in name} <= moved
    assert "head.outer.weight" in moved
    assert {name for name in before if ".critic." in name} <= moved
    assert not [name for name in moved if "lora_" not in name and not name.startswith("head.")]


def test_every_step_of_the_value_head_has_its_own_gradient(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left over from the step before: Trainer clears the model's gradients, and the head is not in it."""
    left: list[bool] = []
    plain = SparkTrainer.compute_loss

    def compute_loss(self: SparkTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step > len(left):
            left.append(any(p.grad is not None and bool(p.grad.any()) for p in self.agent.critic_parameters()))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(SparkTrainer, "compute_loss", compute_loss)
    stage = {**DATA, "kind": "ppo", "epochs": 2, "critic": {"kind": "frozen_features"}}
    train(demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND), "ppo")
    assert left
    assert not any(left)


@pytest.mark.parametrize(("target", "grows"), [(1e-9, True), (1e9, False)])
def test_beta_follows_the_kl(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: float, grows: bool
) -> None:
    """Doubled after an epoch above 1.5 targets, halved after one below two thirds of it."""
    from spark_framework.training import control as module

    monkeypatch.setattr(module, "STOP_AT", 1e30)
    made = watched(monkeypatch)
    stage = {**DATA, "kind": "ppo", "epochs": 3, "beta": 1.0, "kl_target": target}
    train(demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND), "ppo")
    assert made[0].kl_control.beta == (8.0 if grows else 0.125)


def test_a_stage_stops_where_the_kl_runs_away(
    demonstrations: Runs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = {**DATA, "kind": "ppo", "epochs": 4, "kl_target": 1e-12}
    adapter = train(demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND), "ppo")
    assert max(entry["epoch"] for entry in log(adapter) if "epoch" in entry) == 1
    (alarm,) = [entry["alarm"] for entry in log(adapter) if "alarm" in entry]
    assert alarm in caplog.messages
    assert alarm.startswith("stage ppo, update 3: the KL to the reference is ")
    assert alarm.endswith("Set stages.ppo.lr to 0.0005 (it is 0.001), or stages.ppo.beta to 4 (it is 1)")


# -- interruptions ---------------------------------------------------------------------------------------------------


class Saboteur:
    """Interrupts the program when the trainer logs at or after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def spark_update_finished(self, stage: str, metrics: Any) -> None:
        if metrics["step"] >= self.step:
            raise KeyboardInterrupt


def interrupted(run: Path, stage: str, step: int) -> None:
    host = Host()
    host.register(Saboteur(step))
    with using_host(host), pytest.raises(KeyboardInterrupt):
        train(run, stage)


@pytest.mark.parametrize(("name", "save_steps"), [("sft", 1), ("ppo_separate", 1), ("ppo_refresh", 3), ("spark", 3)])
def test_an_interrupted_stage_ends_as_an_uninterrupted_one(
    demonstrations: Runs, tmp_path: Path, name: str, save_steps: int
) -> None:
    """Three steps an epoch, interrupted at the fifth: the last checkpoint is of step 4 (in the middle of an epoch) or
    of step 3 (at the end of one, where beta moves)."""
    stage = {**DATA, **VARIANTS[name], "epochs": 3, "kl_target": 1e-3, "schedule": "cosine", "save_steps": save_steps}
    whole, cut = (demonstrations(tmp_path / part, stages={name: stage}, rollouts=ROUND) for part in ("whole", "cut"))
    expected = weights(train(whole, name))
    interrupted(cut, name, 5)
    assert whole_checkpoint(cut / "train" / name / "checkpoints") is not None
    resumed = weights(train(cut, name))
    assert resumed.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(resumed[key], tensor), key


def test_a_half_written_checkpoint_is_passed_over(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**DATA, "kind": "sft", "epochs": 3, "save_steps": 2}
    whole, cut = (demonstrations(tmp_path / part, stages={"sft": stage}, rollouts=ROUND) for part in ("whole", "cut"))
    expected = weights(train(whole, "sft"))
    interrupted(cut, "sft", 5)
    folder = cut / "train" / "sft" / "checkpoints"
    (done,) = folder.iterdir()
    half = folder / "checkpoint-5"
    half.mkdir()
    (half / "optimizer.pt").write_bytes(b"half")
    (half / f"{STATE}.part").write_bytes(b"half")
    assert whole_checkpoint(folder) == str(done)
    assert not half.exists()
    resumed = weights(train(cut, "sft"))
    assert all(torch.equal(resumed[key], expected[key]) for key in expected)


def test_a_finished_stage_is_left_alone(demonstrations: Runs, tmp_path: Path) -> None:
    run = demonstrations(tmp_path / "run", stages={"sft": DATA}, rollouts=ROUND)
    adapter = train(run, "sft")
    stamp = (adapter / "adapter_model.safetensors").stat().st_mtime_ns
    assert train(run, "sft") == adapter
    assert (adapter / "adapter_model.safetensors").stat().st_mtime_ns == stamp
