"""Every stage trains, saves what peft can load, and goes on after an interruption as if there had been none."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spark_framework import TrajectoryStore, train
from spark_framework.api import hookimpl
from spark_framework.errors import DataError, RunError
from spark_framework.host.manager import Host, using_host
from spark_framework.models.loading import load_model
from spark_framework.training.model.actor_critic import ActorCritic
from spark_framework.training.trainers.checkpoints import STATE_FILE, latest_complete_checkpoint
from spark_framework.training.trainers.tree_trainer import TreeTrainer
from tests.runs import STAGE
from tests.training.made import watched

DATA = {**STAGE, "data": "demonstrations"}
Runs = Callable[..., Path]

VARIANTS = {
    "sft": {"kind": "sft"},
    "sft_chosen": {"kind": "sft", "sft_branches": "chosen"},
    "replay": {"kind": "replay"},
    "rft": {"kind": "rft"},
    "ppo_separate": {"kind": "ppo"},
    "ppo_frozen": {"kind": "ppo", "critic": {"kind": "frozen_features"}},
    "ppo_shared": {"kind": "ppo", "critic": {"kind": "shared", "coef": 0.5}},
    "ppo_detached": {"kind": "ppo", "critic": {"kind": "detached"}, "old_policy": "refresh"},
    "ppo_packed": {"kind": "ppo", "pack_tokens": 2000, "gradient_checkpointing": True, "old_policy": "refresh"},
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


@pytest.mark.parametrize("critic", ["separate", "shared", "detached", "frozen_features"])
def test_actor_and_critic_learn_and_the_base_does_not(
    tiny: Path, demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, critic: str
) -> None:
    made = watched(monkeypatch, TreeTrainer)
    before: dict[str, torch.Tensor] = {}
    plain = TreeTrainer.begin_epoch

    def begin_epoch(self: TreeTrainer, epoch: int) -> None:
        plain(self, epoch)
        if epoch == 0:
            before.update({n: p.detach().clone() for n, p in self.agent.model.named_parameters()})
            before.update({f"head.{n}": p.detach().clone() for n, p in self.agent.value_head.named_parameters()})

    monkeypatch.setattr(TreeTrainer, "begin_epoch", begin_epoch)
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
    plain = TreeTrainer.compute_loss

    def compute_loss(self: TreeTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step > len(left):
            left.append(any(p.grad is not None and bool(p.grad.any()) for p in self.agent.critic_parameters()))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(TreeTrainer, "compute_loss", compute_loss)
    stage = {**DATA, "kind": "ppo", "epochs": 2, "critic": {"kind": "frozen_features"}}
    train(demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND), "ppo")
    assert left
    assert not any(left)


@pytest.mark.parametrize(("target", "grows"), [(1e-9, True), (1e9, False)])
def test_beta_follows_the_kl(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: float, grows: bool
) -> None:
    """Doubled after an epoch above 1.5 targets, halved after one below two thirds of it."""
    from spark_framework.training.trainers import alarms as module

    monkeypatch.setattr(module, "STOP_AT", 1e30)
    made = watched(monkeypatch, TreeTrainer)
    stage = {**DATA, "kind": "ppo", "epochs": 3, "beta": 1.0, "kl_target": target}
    train(demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND), "ppo")
    assert made[0].kl.beta == (8.0 if grows else 0.125)


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


def test_every_update_has_its_figures(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**DATA, "kind": "ppo", "epochs": 2}
    adapter = train(demonstrations(tmp_path / "run", stages={"ppo": stage}, rollouts=ROUND), "ppo")
    updates = [entry for entry in log(adapter) if "loss" in entry]
    assert [entry["step"] for entry in updates] == [1, 2, 3, 4, 5, 6]
    for entry in updates:
        assert {"kl", "approx_kl", "beta", "entropy", "tool_entropy", "token_entropy", "clip_fraction_action",
                "clip_fraction_token", "value_loss", "grad_norm", "learning_rate"} <= entry.keys()  # fmt: skip
        assert any(key.startswith("advantage/") for key in entry)
        assert all(math.isfinite(value) for value in entry.values())


def test_an_alarm_that_ended_a_stage_holds_after_an_interruption(demonstrations: Runs, tmp_path: Path) -> None:
    """Interrupted between the checkpoint of the last step and the adapter: training does not go on."""
    stage = {**DATA, "kind": "ppo", "epochs": 4, "kl_target": 1e-12, "save_steps": 1}
    whole, cut = (demonstrations(tmp_path / part, stages={"ppo": stage}, rollouts=ROUND) for part in ("whole", "cut"))
    expected = weights(train(whole, "ppo"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spark_framework.training.run_stage.save_adapter", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(cut, "ppo")
    assert latest_complete_checkpoint(cut / "train" / "ppo" / "checkpoints") is not None
    resumed = weights(train(cut, "ppo"))
    assert all(torch.equal(resumed[key], tensor) for key, tensor in expected.items())


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


# -- what is computed once -------------------------------------------------------------------------------------------


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the rows that are read without gradient from now on."""
    read: list[int] = []
    plain = ActorCritic.forward

    def forward(self: ActorCritic, inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            read.append(len(inputs.ids_N))
        return plain(self, inputs)

    monkeypatch.setattr(ActorCritic, "forward", forward)
    return read


@pytest.mark.parametrize("critic", ["separate", "shared", "frozen_features"])
def test_a_stage_with_other_settings_finds_what_was_computed_once(
    demonstrations: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, critic: str
) -> None:
    first = {**DATA, "kind": "ppo", "critic": {"kind": critic}}
    stages = {"first": first, "second": {**first, "lr": 2e-3, "clip": 0.1, "beta": 0.0}, "third": {**first, "lr": 2e-3}}
    run = demonstrations(tmp_path / "run", stages=stages, rollouts=ROUND)
    read = counted(monkeypatch)
    made = watched(monkeypatch, TreeTrainer)
    train(run, "first")
    assert read
    files = {path: path.read_bytes() for path in (run / "cache").iterdir()}
    assert sorted(path.name.split("-")[0] for path in files) == ["critic", "policy"]
    read.clear()
    train(run, "second")
    assert not read
    assert {path: path.read_bytes() for path in (run / "cache").iterdir()} == files
    for ours, theirs in zip(made[0].v_old, made[1].v_old, strict=True):
        assert torch.equal(ours, theirs)
    (broken,) = (run / "cache").glob("policy-*")
    broken.write_bytes(broken.read_bytes()[:100])  # damaged: it is computed again
    train(run, "third")
    assert read
    assert broken.read_bytes() == files[broken]


def test_another_critic_or_policy_is_computed_anew(demonstrations: Runs, tmp_path: Path) -> None:
    first = {**DATA, "kind": "ppo", "critic": {"kind": "frozen_features"}}
    stages = {
        "first": first,
        "slower": {**first, "critic": {"kind": "frozen_features", "lr": 1e-6}},
        "later": {**first, "init": "first"},
    }
    run = demonstrations(tmp_path / "run", stages=stages, rollouts=ROUND)
    for stage, policies, critics in (("first", 1, 1), ("slower", 1, 2), ("later", 2, 3)):
        train(run, stage)
        assert len(list((run / "cache").glob("policy-*"))) == policies
        assert len(list((run / "cache").glob("critic-*"))) == critics


# -- what does not fit -----------------------------------------------------------------------------------------------


def test_an_adapter_of_another_base_is_refused(tiny: Path, demonstrations: Runs, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    stages = {"sft": DATA, "ppo": {**DATA, "init": "sft"}}
    run = demonstrations(tmp_path / "run", stages=stages, rollouts=ROUND)
    adapter = train(run, "sft")
    model = AutoModelForCausalLM.from_pretrained(tiny)
    shutil.copytree(tiny, tmp_path / "other")
    with torch.no_grad():
        model.get_input_embeddings().weight[0, 0] += 1e-3
    model.save_pretrained(tmp_path / "other")
    manifest = json.loads((run / "run.json").read_text())
    manifest["config"]["policy"]["model"] = str(tmp_path / "other")
    (run / "run.json").write_text(json.dumps(manifest))
    before = (adapter / "adapter_model.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"train/sft/adapter was trained on another base than policy\.model; train that"):
        train(run, "ppo")
    (adapter / "base.json").unlink()  # from elsewhere, and of another shape
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "r": 3}))
    with pytest.raises(RunError, match=r"train/sft/adapter does not fit policy.model \("):
        train(run, "ppo")
    assert (adapter / "adapter_model.safetensors").read_bytes() == before
    assert not (run / "train" / "ppo").exists()


def test_a_step_without_a_verdict_is_refused(demonstrations: Runs, tmp_path: Path) -> None:
    run = demonstrations(tmp_path / "run", stages={"ppo": {**DATA, "kind": "ppo"}}, rollouts=ROUND)
    stored = list(TrajectoryStore(run / "trajectories.jsonl").read())
    for name in ("trajectories.jsonl", "trajectories.commits"):
        (run / name).unlink()
    unjudged = stored[2].steps[0].model_copy(update={"verdict": None})
    stored[2] = stored[2].model_copy(update={"steps": (unjudged, *stored[2].steps[1:])})
    TrajectoryStore(run / "trajectories.jsonl").append("demonstrations", stored, next_index=6)
    with pytest.raises(DataError, match=f"trajectory {stored[2].id}, step 0 has no verdict; it cannot be trained on"):
        train(run, "ppo")
    assert not (run / "train").exists()


def test_a_checkpoint_of_another_run_is_refused(demonstrations: Runs, tmp_path: Path) -> None:
    stage = {**DATA, "kind": "sft", "epochs": 3, "save_steps": 2}
    runs = [
        demonstrations(tmp_path / name, stages={"sft": {**stage, **changes}}, rollouts=ROUND)
        for name, changes in (("one", {}), ("other", {"lr": 5e-4}))
    ]
    interrupted(runs[0], "sft", 5)
    shutil.copytree(runs[0] / "train", runs[1] / "train")
    checkpoint = Path(latest_complete_checkpoint(runs[1] / "train" / "sft" / "checkpoints") or "")
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    with pytest.raises(
        RunError, match="was made with other weights, settings or data than those of this stage; delete"
    ):
        train(runs[1], "sft")
    assert {path.name: path.read_bytes() for path in checkpoint.iterdir()} == before
    assert not (runs[1] / "train" / "sft" / "adapter").exists()


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


@pytest.mark.parametrize(
    ("name", "save_steps"), [("sft", 1), ("ppo_separate", 1), ("ppo_packed", 3), ("ppo_shared", 1), ("spark", 3)]
)
def test_an_interrupted_stage_ends_as_an_uninterrupted_one(
    demonstrations: Runs, tmp_path: Path, name: str, save_steps: int
) -> None:
    """Three steps an epoch, interrupted at the fifth: the last checkpoint is of step 4 (in the middle of an epoch) or
    of step 3 (at the end of one, where beta moves)."""
    stage = {**DATA, **VARIANTS[name], "epochs": 3, "schedule": "cosine", "save_steps": save_steps}
    stage |= {} if name == "sft" else {"kl_target": 1e-3}
    whole, cut = (demonstrations(tmp_path / part, stages={name: stage}, rollouts=ROUND) for part in ("whole", "cut"))
    expected = weights(train(whole, name))
    interrupted(cut, name, 5)
    assert latest_complete_checkpoint(cut / "train" / name / "checkpoints") is not None
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
    (half / f"{STATE_FILE}.part").write_bytes(b"half")
    assert latest_complete_checkpoint(folder) == str(done)
    assert not half.exists()
    resumed = weights(train(cut, "sft"))
    assert all(torch.equal(resumed[key], expected[key]) for key in expected)


def test_a_finished_stage_is_left_alone(demonstrations: Runs, tmp_path: Path) -> None:
    run = demonstrations(tmp_path / "run", stages={"sft": DATA}, rollouts=ROUND)
    adapter = train(run, "sft")
    stamp = (adapter / "adapter_model.safetensors").stat().st_mtime_ns
    assert train(run, "sft") == adapter
    assert (adapter / "adapter_model.safetensors").stat().st_mtime_ns == stamp
