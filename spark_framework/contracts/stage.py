"""What every training stage is told, whatever its algorithm. An algorithm's `Config` adds its own fields to these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from .components import ComponentConfig
from .library_options import check_lora, check_training_args


class LoraConfig(ComponentConfig):
    """The adapter (LoRA). Any other field of PEFT's `LoraConfig` is passed on; `lora_alpha` and `target_modules` are
    PEFT's names of `alpha` and `targets`."""

    model_config = ConfigDict(extra="allow")

    r: int = Field(default=8, ge=1)
    """Rank."""
    alpha: float = Field(default=16.0, gt=0)
    """The update is scaled by alpha / r."""
    layers: int | None = Field(default=None, ge=1)
    """Train only this many transformer layers, counted from the top. None trains all."""
    targets: tuple[str, ...] = ()
    """Module names. Empty: all linear layers but the output layer."""

    @model_validator(mode="before")
    @classmethod
    def _peft_names(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        found = dict(data)
        for theirs, ours in (("lora_alpha", "alpha"), ("target_modules", "targets")):
            if theirs in found:
                if ours in found:
                    raise ValueError(f"{theirs} and {ours} are two names of one setting; keep one of them")
                found[ours] = found.pop(theirs)
        return found

    @field_validator("targets", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _peft_knows(self) -> LoraConfig:
        check_lora(self.model_extra or {}, has_layers=self.layers is not None)
        return self


class CriticConfig(ComponentConfig):
    """The value function V(s), read at the last token of a state. Trained by mean squared error on the step rewards."""

    kind: Literal["separate", "shared", "detached", "frozen_features"] = "separate"
    """`separate`: its own LoRA adapter and MLP head (SPaRK). The others put an MLP head on hidden states that exist
    already: `shared` on the actor's, and its gradient reaches the actor; `detached` on the actor's, without that
    gradient; `frozen_features` on those of the policy that the stage starts from."""
    coef: float = Field(default=1.0, gt=0)
    """Weight of the value loss. It matters with `shared`, where it is added to the actor's loss."""
    lr: float = Field(default=1e-4, gt=0)
    """Learning rate of the value function."""
    hidden: int = Field(default=128, ge=1)
    """Width of the value head."""
    warmup_epochs: int = Field(default=1, ge=0)
    """Passes over the stored rewards before V_old is first read. With 0, V_old starts at 0."""


class AlarmConfig(ComponentConfig):
    """Bounds that end a stage or raise a warning."""

    max_kl: float | None = Field(default=None, gt=0)
    """The stage ends when the KL to the reference exceeds it, averaged over the last ten updates or over an epoch. In
    the unit of the algorithm's KL target; None: ten times that target."""
    min_entropy: float = Field(default=0.1, ge=0)
    """bits: warn when the distribution over actions, averaged over the last ten updates, has less entropy than this."""


class StageConfig(ComponentConfig):
    """The settings that all algorithms share."""

    data: str = "explore"
    """The round to train on."""
    init: str | None = None
    """The stage to start from; None is the base model."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the rows."""
    lr: float = Field(default=2e-4, gt=0)
    """Learning rate (AdamW)."""
    batch_size: int = Field(default=4, ge=1)
    """Questions in one optimiser step; steptool: trajectories."""
    warmup_ratio: float = Field(default=0.0, ge=0, le=1)
    """Share of the updates over which the learning rate rises."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """What the learning rate does after the warm-up."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm, the actor's and the critic's apart."""
    lora: LoraConfig = LoraConfig()
    """The adapter's shape. With `init`, the earlier stage's shape is kept."""
    gradient_checkpointing: bool = False
    """Keep no activations between layers and recompute them for the gradient: far less memory, a third more work."""
    shard: bool = False
    """Divide the frozen layers among the processes of `accelerate launch` (FSDP2): each layer is gathered when it is
    used. This frees memory for activations; while it is loaded, the base still has to fit on one GPU."""
    pack_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one forward pass: rows of an optimiser step (steptool: of a mini-batch) share it without padding, and
    a common beginning is read once. None: 4096 on a GPU, 2048 on a CPU."""
    save_steps: int = Field(default=20, ge=1)
    """Optimiser steps between checkpoints."""
    report_to: tuple[str, ...] = ()
    """Trackers of transformers.Trainer (tensorboard, wandb, trackio, ...). They have to be installed."""
    training_args: dict[str, Any] = Field(default_factory=dict)
    """Further fields of transformers' `TrainingArguments`, such as `weight_decay` or `adam_beta2`."""

    @field_validator("training_args")
    @classmethod
    def _transformers_knows(cls, value: dict[str, Any]) -> dict[str, Any]:
        check_training_args(value)
        return value


class FilteredStageConfig(StageConfig):
    """Settings of algorithms that choose which trajectories of a round they learn from."""

    require_process_ok: bool | None = None
    """Drop trajectories with a step that is not process_ok (SPaRK's filter). None: the algorithm's own default."""
    require_correct: bool | None = None
    """Drop trajectories with a wrong final answer (SPaRK's filter). None: the algorithm's own default."""
    require_a_success: bool = False
    """Drop questions on which no trajectory succeeded."""
