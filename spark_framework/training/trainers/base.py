"""What all trainers share, on transformers.Trainer: its logging, callbacks, accumulation and checkpoints."""

from __future__ import annotations

import json
import logging
import shutil
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ...contracts.stage import StageConfig
from ...errors import RunError
from ...host.hooks import PluginHooks
from ...util.collectives import barrier
from ...util.files import replacing
from ...util.launcher import is_first
from ..data.dataset import StageData
from ..data.token_tree import TokenTree
from ..distributed import whole_steps
from ..files import write_errors_as_run_error
from ..model.actor_critic import ActorCritic
from ..model.first_policy import FirstPolicy
from .alarms import Alarm
from .checkpoints import STATE_FILE, checkpoints

log = logging.getLogger(__name__)
DDP_TIMEOUT = 24 * 3600
"""Seconds that processes wait for each other: one may be judging or reading for hours."""


@dataclass(frozen=True)
class StageSetup:
    """What a trainer gets for its stage."""

    name: str
    """The stage's name in the config."""
    agent: ActorCritic
    rows: Sequence[TokenTree]
    data: StageData
    """What the rows were made of."""
    actions: tuple[str, ...]
    """Names of the actions, in the order of the head; empty where rows are free text."""
    first_policy: FirstPolicy
    """Readings of the policy that the stage starts from, cached with the run."""
    critic_seed: int
    """Order of the critic's warm-up; one for all stages of a run, so that they share V_old."""
    calls: PluginHooks
    """Tells observers."""


class StageTrainer(Trainer):
    """Trains one stage. A checkpoint holds all that moves, so that an interrupted run equals an uninterrupted one.

    Args:
        items, collate: what there is to train on; `collate` makes the inputs of a training step from its items.
        identity: digest of what the stage starts from; a checkpoint of another run is refused.
    """

    def __init__(
        self, setup: StageSetup, stage: StageConfig, items: int, collate: Callable[[list[int]], dict[str, Any]],
        identity: str = "", **kwargs: Any,
    ) -> None:  # fmt: skip
        self.agent, self.stage, self.stage_name, self.identity = setup.agent, stage, setup.name, identity
        self._stopped = False
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        super().__init__(
            model=self.agent.model,
            train_dataset=list(range(items)),
            data_collator=collate,
            **kwargs,
        )
        # Our losses are means over a step's items, whatever the number of tokens.
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)
        if self.args.disable_tqdm:
            self.remove_callback(ProgressCallback)
        self.add_callback(_Epochs(self))
        self.add_callback(_Log(self.folder.parent, setup.calls, setup.name))

    @property
    def folder(self) -> Path:
        """Where the checkpoints are."""
        return Path(str(self.args.output_dir))

    @property
    def device(self) -> Any:
        return self.agent.model.device

    # -- what a trainer adds ---------------------------------------------------------------------------------------

    @abstractmethod
    def prepare(self) -> None:
        """Compute what the stage's first policy gives, or find it. Called before training begins or goes on."""

    def begin_epoch(self, epoch: int) -> None:
        """Called before an epoch's first step."""

    def after_update(self, *, epoch_ends: bool) -> Alarm | None:
        """Called after every step; an alarm is told to the user and may end the stage."""
        return None

    def extra_metrics(self) -> dict[str, float]:
        """Figures that every log line shows next to the means of what was logged."""
        return {}

    logging_steps = 1
    """Optimiser steps between two log lines."""

    @classmethod
    def step_size(cls, stage: StageConfig) -> int:
        """Items in one optimiser step."""
        return stage.batch_size

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside the weights and Trainer's own checkpoint."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self, checkpoint: str | None) -> None:
        """Train to the end, from a checkpoint if there is one.

        Raises:
            RunError: the checkpoint is of another run; nothing is overwritten.
        """
        if checkpoint is not None and self._checked(checkpoint)["stopped"]:
            self._load_from_checkpoint(checkpoint)  # an alarm ended the stage; only the adapter was not saved yet
        else:
            self.train(resume_from_checkpoint=checkpoint)

    def raise_alarm(self, alarm: Alarm) -> None:
        """Tell it on stderr and in the stage's log."""
        text = f"stage {self.stage_name}, update {self.state.global_step}: {alarm.text}"
        if is_first():
            log.warning("%s", text)
            write_log(self.folder.parent, {"step": self.state.global_step, "alarm": text})
        self._stopped = self._stopped or alarm.stop

    def _checked(self, checkpoint: str) -> dict[str, Any]:
        kept: dict[str, Any] = torch.load(Path(checkpoint) / STATE_FILE, map_location=self.device)
        if kept["identity"] != self.identity:
            raise RunError(
                f"{checkpoint} was made from other weights, settings or data than those of this stage; "
                f"delete {self.folder} to train it anew"
            )
        return kept

    # -- logging ---------------------------------------------------------------------------------------------------

    def log_scalars(self, values: Mapping[str, Tensor | float]) -> None:
        """Add to the means of the next log line."""
        for name, value in values.items():
            plain = float(value.detach() if isinstance(value, Tensor) else value)
            self._sums[name] = self._sums.get(name, 0.0) + plain
            self._counts[name] = self._counts.get(name, 0) + 1

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if self._counts and "loss" in logs:
            means = {name: total / self._counts[name] for name, total in self._sums.items()}
            logs = {**logs, **means, **self.extra_metrics()}
        self._sums, self._counts = {}, {}
        super().log(logs, *args, **kwargs)

    def get_train_dataloader(self) -> Any:
        return whole_steps(super().get_train_dataloader())

    # -- optimiser -------------------------------------------------------------------------------------------------

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW over both adapters and the value head; a `requires_grad` filter would see the active adapter only."""
        if self.optimizer is None:
            args = self.args
            groups = [{"params": self.agent.actor_parameters(), "lr": args.learning_rate}]
            if critic := self.agent.critic_parameters():
                groups.append({"params": critic, "lr": self.critic_lr})
            self.optimizer = torch.optim.AdamW(
                groups, betas=(args.adam_beta1, args.adam_beta2), eps=args.adam_epsilon, weight_decay=args.weight_decay
            )
        return self.optimizer

    @property
    def critic_lr(self) -> float:
        """Learning rate of the critic's parameters."""
        return self.stage.lr

    def _clip_grad_norm(self, model: Any) -> Any:
        """Actor and critic apart, so that neither's gradient shortens the other's step."""
        if critic := self.agent.critic_parameters():
            self.accelerator.clip_grad_norm_(critic, self.args.max_grad_norm)
        return self.accelerator.clip_grad_norm_(self.agent.actor_parameters(), self.args.max_grad_norm)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = self.folder / f"checkpoint-{self.state.global_step}"
        head = self.agent.value_head
        weights = {
            "adapters": {n: p.detach() for n, p in self.agent.model.named_parameters() if "lora_" in n},
            "value_head": None if head is None else head.state_dict(),
        }
        state = {"identity": self.identity, "stopped": self._stopped, **weights, **self.state_dict()}
        with write_errors_as_run_error(folder):
            super()._save_checkpoint(model, trial)
            barrier()
            if not is_first():
                return
            with replacing(folder / STATE_FILE) as part:  # a checkpoint is complete when this file is there
                torch.save(state, part)
        for other in checkpoints(folder.parent):
            if other != folder:
                shutil.rmtree(other)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        kept = self._checked(resume_from_checkpoint)
        parameters = dict(self.agent.model.named_parameters())
        with torch.no_grad():
            for name, value in kept["adapters"].items():
                parameters[name].copy_(value)
        if self.agent.value_head is not None:
            self.agent.value_head.load_state_dict(kept["value_head"])
        self.load_state_dict(kept)


def training_arguments(
    trainer: type[StageTrainer], stage: StageConfig, folder: Path, *, seed: int, cpu: bool, quiet: bool
) -> TrainingArguments:
    """Trainer's arguments: those that a stage sets, and what its `training_args` add."""
    return TrainingArguments(**{
        "output_dir": str(folder / "checkpoints"), "run_name": f"{folder.parent.parent.name}-{folder.name}",
        "per_device_train_batch_size": trainer.step_size(stage), "num_train_epochs": stage.epochs,
        "learning_rate": stage.lr,
        "lr_scheduler_type": stage.schedule, "warmup_steps": stage.warmup_ratio, "max_grad_norm": stage.max_grad_norm,
        "save_strategy": "steps", "save_steps": stage.save_steps, "logging_steps": trainer.logging_steps,
        "logging_first_step": True,
        "seed": seed, "remove_unused_columns": False, "report_to": list(stage.report_to) or "none", "use_cpu": cpu,
        "disable_tqdm": quiet, "dataloader_pin_memory": False, "ddp_timeout": DDP_TIMEOUT, **stage.training_args,
    })  # fmt: skip


def write_log(folder: Path, line: dict[str, Any]) -> None:
    """Append a line to a stage's log."""
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


class _Epochs(TrainerCallback):
    """Calls the trainer at the edges of an epoch and after every update."""

    def __init__(self, trainer: StageTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.begin_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        optimizer.zero_grad()  # Trainer clears the model's gradients; the value head is no part of it
        # Before the checkpoint of an epoch's last step, not at `on_epoch_end`: a resumed run must not adapt beta again.
        alarm = self.trainer.after_update(epoch_ends=state.epoch == int(state.epoch))
        if alarm is not None:
            self.trainer.raise_alarm(alarm)
            control.should_training_stop = control.should_training_stop or alarm.stop


class _Log(TrainerCallback):
    """Writes every log line to a file and tells the observers."""

    def __init__(self, folder: Path, calls: PluginHooks, stage: str) -> None:
        self.folder, self.calls, self.stage = folder, calls, stage

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        metrics = {"step": state.global_step, **(logs or {})}
        write_log(self.folder, metrics)
        self.calls.update_finished(self.stage, metrics)
