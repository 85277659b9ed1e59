"""One trainer for all stages, on transformers.Trainer: its logging, callbacks, accumulation and checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..config import StageConfig
from ..host.calls import Calls
from . import losses
from .losses import LogProbs, RowTensors
from .model import ActorCritic
from .rows import Row
from .saving import writing

STATE = "spark_state.pt"
WITH_CRITIC = ("ppo", "spark")
MIN_SCALE = 0.1
"""Advantages are never blown up by more than its inverse."""
STOP_AT = 10.0
"""A stage stops early when an epoch's mean KL passes this multiple of its target."""


Reward = Callable[[Row, list[list[float]]], list[float]]
"""The rewards of a row's decisions, given the action head [decisions, actions] of the old policy in each state."""


class SparkTrainer(Trainer):
    """Trains one stage on rows.

    Everything that offline data allows is computed once and kept beside the checkpoint: reference and behaviour
    log-probabilities, states for the critic, V_old. A checkpoint restores all of it, so that an interrupted run equals
    an uninterrupted one.
    """

    def __init__(
        self,
        agent: ActorCritic,
        rows: list[Row],
        stage: StageConfig,
        calls: Calls,
        name: str,
        reward: Reward | None = None,
        **kwargs: Any,
    ) -> None:
        self.agent, self.rows, self.stage, self.stage_name, self.reward = agent, rows, stage, name, reward
        self.beta = stage.beta
        self.old: list[LogProbs] = []
        self.reference: list[LogProbs] = []
        self.features: list[Tensor] = []
        self.v_old: list[Tensor] = []
        self.advantages: list[Tensor] = []
        self.prepared_epoch = -1
        self._sums: dict[str, float] = {}
        self._epoch_kl: list[float] = []
        super().__init__(
            model=agent.model,
            train_dataset=list(range(len(rows))),
            data_collator=lambda items: {"row": items[0]},
            **kwargs,
        )
        # Our losses are means over a row: Trainer divides them by the accumulation steps.
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)
        if self.args.disable_tqdm:
            self.remove_callback(ProgressCallback)
        self.add_callback(_Epochs(self))
        self.add_callback(_Log(self.folder.parent / "log.jsonl", calls, name))

    @property
    def folder(self) -> Path:
        """Where the checkpoints are."""
        return Path(str(self.args.output_dir))

    @property
    def has_critic(self) -> bool:
        return self.stage.kind in WITH_CRITIC

    # -- what is computed once -----------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self) -> None:
        """Reference log-probabilities and the critic's features, from the policy that the stage starts from."""
        if self.stage.kind == "sft" or self.reference:
            return
        self.agent.model.eval()
        for row in self.rows:
            hidden = self.agent.hidden(row)
            self.reference.append(self.agent.log_probs(hidden, row))
            if self.has_critic and self.stage.critic.kind == "frozen_features":
                self.features.append(self.agent.states(hidden, row).float())
        if self.has_critic:
            with torch.enable_grad():
                self._warm_up_critic()

    def begin_epoch(self, epoch: int) -> None:
        """The ratio's denominator and the advantages of an epoch."""
        if not self.has_critic or self.prepared_epoch == epoch:
            return
        self.prepared_epoch = epoch
        if self.stage.old_policy == "behaviour":
            self.old = [_behaviour(row, reference) for row, reference in zip(self.rows, self.reference, strict=True)]
        elif epoch == 0:
            self.old = self.reference
        else:
            self.agent.model.eval()
            with torch.no_grad():
                self.old = [self.agent.log_probs(self.agent.hidden(row), row) for row in self.rows]
        if self.reward is not None and self.stage.old_policy == "refresh":
            for row, old in zip(self.rows, self.old, strict=True):
                for decision, value in zip(row.decisions, self.reward(row, old.head_DA.exp().tolist()), strict=True):
                    decision.reward = value
        if epoch == 0 or self.stage.old_policy == "refresh":
            self.v_old = [self._values(i) for i in range(len(self.rows))]
            gaps = [self._rewards(i) - v for i, v in enumerate(self.v_old)]  # A_t = R_t - V_old(s_t)
            scale = (
                torch.cat(gaps).std().clamp(min=MIN_SCALE) if self.stage.normalise and len(torch.cat(gaps)) > 1 else 1.0
            )
            self.advantages = [gap / scale for gap in gaps]

    def end_epoch(self) -> bool:
        """Adapt beta to the epoch's KL; True where training has to stop."""
        if not self._epoch_kl:
            return False
        mean = sum(self._epoch_kl) / len(self._epoch_kl)
        self._epoch_kl = []
        if mean > 1.5 * self.stage.kl_target:
            self.beta *= 2
        elif mean < self.stage.kl_target / 1.5:
            self.beta /= 2
        return mean > STOP_AT * self.stage.kl_target

    # -- one row -------------------------------------------------------------------------------------------------

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        index = inputs["row"]
        row, stage = self.rows[index], self.stage
        tensors = self._tensors(row)
        logp = self.agent.log_probs(self.agent.hidden(row), row)
        notes: dict[str, Tensor | float] = {
            "entropy": -(logp.head_DA.exp() * logp.head_DA).sum(-1).mean() / torch.log(torch.tensor(2.0))
        }
        if stage.kind == "sft":
            loss = losses.imitation_loss(tensors, logp)
        else:
            kl = losses.kl_to_reference(tensors, logp, self.reference[index])
            notes["kl"] = kl
            loss = self.beta * kl**2
            if stage.kind in ("replay", "rft"):
                loss = loss + losses.imitation_loss(tensors, logp, actions=stage.kind == "rft", only_ok=True)
            else:
                old = self.old[index]
                loss = loss + losses.ppo_loss(tensors, logp, old, self.advantages[index], stage.clip)
                notes["clip_fraction_action"] = losses.clip_fraction(logp.action_D, old.action_D, stage.clip)
                notes["clip_fraction_token"] = losses.clip_fraction(logp.token_T, old.token_T, stage.clip)
                if stage.replay and tensors.ok_D.any():
                    loss = loss + stage.replay * losses.imitation_loss(tensors, logp, actions=False, only_ok=True)
                if stage.critic.kind == "frozen_features":  # shares no weight with the actor: one backward serves both
                    value_loss = self._value_loss(index)
                    notes["value_loss"] = value_loss
                    loss = loss + value_loss
        self._note(notes)
        return loss

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        loss: Tensor = super().training_step(model, dict(inputs), *args, **kwargs)
        if self.has_critic and self.stage.critic.kind == "separate":
            with self.agent.as_critic():  # the actor's backward is done: only now may the adapters be switched
                value_loss = self._value_loss(inputs["row"])
                self.accelerator.backward(value_loss / self.current_gradient_accumulation_steps)
            self._note({"value_loss": value_loss})
        return loss

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW over both adapters and the value head; a `requires_grad` filter would see the active adapter only."""
        if self.optimizer is None:
            groups = [{"params": self.agent.actor_parameters(), "lr": self.args.learning_rate}]
            if critic := self.agent.critic_parameters():
                groups.append({"params": critic, "lr": self.stage.critic.lr})
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        return self.optimizer

    def _clip_grad_norm(self, model: Any) -> Any:
        """Actor and critic apart, so that neither's gradient shortens the other's step."""
        if critic := self.agent.critic_parameters():
            self.accelerator.clip_grad_norm_(critic, self.args.max_grad_norm)
        return self.accelerator.clip_grad_norm_(self.agent.actor_parameters(), self.args.max_grad_norm)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        count = self._sums.pop("count", 0)
        if count and "loss" in logs:
            logs = {**logs, **{name: value / count for name, value in self._sums.items()}}
            if self.stage.kind != "sft":
                logs["beta"] = self.beta
        self._sums = {}
        super().log(logs, *args, **kwargs)

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = self.folder / f"checkpoint-{self.state.global_step}"
        with writing(folder):
            super()._save_checkpoint(model, trial)
            torch.save(self._kept(), folder / f"{STATE}.part")
        (folder / f"{STATE}.part").rename(folder / STATE)  # a checkpoint is whole when this file is there
        for other in checkpoints(folder.parent):
            if other != folder:
                shutil.rmtree(other)

    def _kept(self) -> dict[str, Any]:
        """What a resumed run needs beside Trainer's own checkpoint."""
        head = self.agent.value_head
        return {
            "adapters": {n: p.detach() for n, p in self.agent.model.named_parameters() if "lora_" in n},
            "value_head": None if head is None else head.state_dict(),
            "beta": self.beta,
            "prepared_epoch": self.prepared_epoch, "epoch_kl": self._epoch_kl,
            "rewards": [[d.reward for d in row.decisions] for row in self.rows],
            "features": self.features, "v_old": self.v_old, "advantages": self.advantages,
            "old": [(x.action_D, x.token_T, x.head_DA) for x in self.old],
            "reference": [(x.action_D, x.token_T, x.head_DA) for x in self.reference],
        }  # fmt: skip

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        kept = torch.load(Path(resume_from_checkpoint) / STATE, map_location=self.agent.model.device)
        parameters = dict(self.agent.model.named_parameters())
        with torch.no_grad():
            for name, value in kept["adapters"].items():
                parameters[name].copy_(value)
        if self.agent.value_head is not None:
            self.agent.value_head.load_state_dict(kept["value_head"])
        self.beta, self.prepared_epoch, self._epoch_kl = kept["beta"], kept["prepared_epoch"], kept["epoch_kl"]
        self.features, self.v_old, self.advantages = kept["features"], kept["v_old"], kept["advantages"]
        for row, rewards in zip(self.rows, kept["rewards"], strict=True):
            for decision, reward in zip(row.decisions, rewards, strict=True):
                decision.reward = reward
        self.old = [LogProbs(*pair) for pair in kept["old"]]
        self.reference = [LogProbs(*pair) for pair in kept["reference"]]

    # -- the critic ----------------------------------------------------------------------------------------------

    def _warm_up_critic(self) -> None:
        section = self.stage.critic
        optimizer = torch.optim.AdamW(self.agent.critic_parameters(), lr=section.lr, weight_decay=0.0)
        order = torch.Generator().manual_seed(self.args.seed)
        for _ in range(section.warmup_epochs):
            for index in torch.randperm(len(self.rows), generator=order).tolist():
                if section.kind == "separate":
                    with self.agent.as_critic():
                        self._value_loss(index).backward()
                else:
                    self._value_loss(index).backward()
                optimizer.step()
                optimizer.zero_grad()

    def _value_loss(self, index: int) -> Tensor:
        row = self.rows[index]
        tensors = self._tensors(row)
        return losses.value_loss(self._value_D(index), self._rewards(index), tensors.weight_D)

    def _value_D(self, index: int) -> Tensor:
        assert self.agent.value_head is not None
        if self.stage.critic.kind == "separate":
            row = self.rows[index]
            return self.agent.value_head(self.agent.states(self.agent.hidden(row), row))  # type: ignore[no-any-return]
        return self.agent.value_head(self.features[index])  # type: ignore[no-any-return]

    @torch.no_grad()
    def _values(self, index: int) -> Tensor:
        if self.stage.critic.kind == "separate":
            with self.agent.as_critic():
                return self._value_D(index)
        return self._value_D(index)

    def _rewards(self, index: int) -> Tensor:
        return torch.tensor([d.reward for d in self.rows[index].decisions], device=self.agent.model.device)

    # -- small things --------------------------------------------------------------------------------------------

    def _tensors(self, row: Row) -> RowTensors:
        device = self.agent.model.device
        owner = [i for i, d in enumerate(row.decisions) for _ in d.tokens_at]
        return RowTensors(
            weight_D=torch.tensor([d.weight for d in row.decisions], device=device),
            ok_D=torch.tensor([float(d.ok) for d in row.decisions], device=device),
            constrained_D=torch.tensor([float(d.constrained) for d in row.decisions], device=device),
            owner_T=torch.tensor(owner, device=device),
        )

    def _note(self, values: dict[str, Tensor | float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(_plain(value))
        if "entropy" in values:  # once a row
            self._sums["count"] = self._sums.get("count", 0) + 1
        if "kl" in values:
            self._epoch_kl.append(float(_plain(values["kl"])))


def _plain(value: Tensor | float) -> Tensor | float:
    return value.detach() if isinstance(value, Tensor) else value


def _behaviour(row: Row, reference: LogProbs) -> LogProbs:
    """The stored behaviour log-probabilities; the reference where a script wrote the action and none are stored."""
    action, token, at = reference.action_D.clone(), reference.token_T.clone(), 0
    for i, decision in enumerate(row.decisions):
        stored = torch.tensor(decision.old, device=action.device)
        if len(stored):
            skip = int(decision.constrained)
            if skip:
                action[i] = stored[0]
            token[at : at + len(decision.tokens_at)] = stored[skip:]
        at += len(decision.tokens_at)
    return LogProbs(action, token, reference.head_DA)


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, oldest first."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))


def whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; half-written ones are removed."""
    found = None
    for path in checkpoints(folder):
        if (path / STATE).is_file():
            found = str(path)
        else:
            shutil.rmtree(path)
    return found


def training_arguments(stage: StageConfig, folder: Path, *, seed: int, cpu: bool, quiet: bool) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder / "checkpoints"), per_device_train_batch_size=1,
        gradient_accumulation_steps=stage.batch_size, num_train_epochs=stage.epochs, learning_rate=stage.lr,
        lr_scheduler_type=stage.schedule, warmup_steps=stage.warmup_ratio, max_grad_norm=stage.max_grad_norm,
        save_strategy="steps", save_steps=stage.save_steps, logging_steps=5, logging_first_step=True, seed=seed,
        remove_unused_columns=False, report_to=list(stage.report_to) or "none", use_cpu=cpu, disable_tqdm=quiet,
        dataloader_pin_memory=False,
    )  # fmt: skip


class _Epochs(TrainerCallback):
    """Calls the trainer at the edges of an epoch."""

    def __init__(self, trainer: SparkTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.begin_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        optimizer.zero_grad()  # Trainer clears the model's gradients; the value head is no part of it
        # Before the checkpoint of an epoch's last step, not at `on_epoch_end`: a resumed run must not adapt beta again.
        if state.epoch == int(state.epoch) and self.trainer.end_epoch():
            control.should_training_stop = True


class _Log(TrainerCallback):
    """Writes every log line to a file and tells the observers."""

    def __init__(self, path: Path, calls: Calls, stage: str) -> None:
        self.path, self.calls, self.stage = path, calls, stage

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        metrics = {"step": state.global_step, **(logs or {})}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        self.calls.update_finished(self.stage, metrics)
