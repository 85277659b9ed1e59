"""What a stage of a run is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ..host.component_spec import JudgeChoice, RewardChoice
from .section import Section


class LoraSection(Section):
    """The adapter's shape (LoRA)."""

    r: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    layers: int | None = Field(default=None, ge=1)
    """Only the last so many transformer layers are trained; None trains all."""
    targets: tuple[str, ...] = ()
    """Module names; empty means all linear layers."""


class CriticSection(Section):
    """The value function V(s), read at the last token of a state. Trained by mean squared error on the step rewards."""

    kind: Literal["separate", "shared", "detached", "frozen_features"] = "separate"
    """`separate`: its own LoRA adapter and MLP head (SPaRK). The others are an MLP head on states that are there
    already: `shared` on the actor's, which its gradient reaches; `detached` on the actor's, without that gradient;
    `frozen_features` on the first policy's."""
    coef: float = Field(default=1.0, gt=0)
    """Weight of the value loss; with `shared` it stands beside the actor's own loss."""
    lr: float = Field(default=1e-4, gt=0)
    hidden: int = Field(default=128, ge=1)
    warmup_epochs: int = Field(default=1, ge=0)
    """Passes over the stored rewards before the first V_old is read; without any, V_old starts at 0."""


class AlarmSection(Section):
    """When training has gone wrong: bounds that raise an alarm. ppo, spark, steptool; the KL also replay, rft."""

    max_kl: float | None = Field(default=None, gt=0)
    """nats a step: the stage ends where the KL to the reference is above it, over the last ten updates or an epoch.
    None: ten times `kl_target`. steptool: nats a trajectory; ten times `steptool.kl_target`."""
    min_entropy: float = Field(default=0.1, ge=0)
    """bits: a warning where the distribution over actions, over the last ten updates, has less entropy than this."""


STEPTOOL_TERMS = (
    {"use": "succ_calling", "weight": 0.5},
    {"use": "contribution", "weight": 0.5},
    {"use": "is_solved", "weight": 1.0},
)


class StepToolSection(Section):
    """StepTool's step-grained optimisation. The defaults are those of its released settings."""

    compat: Literal["paper", "released"] = "paper"
    """`paper`: every step's reward counts, and time passes once a step. `released`: as the published code does it,
    where the last step's reward never reaches the loss."""
    csv: Path | None = None
    """StepTool's own `step_grained_for_ppo.csv` in place of a round: rewards come with it, and `data` is not read."""
    max_context: int = Field(default=4096, ge=1)
    """csv: tokens before the last response; what is more is cut at the beginning."""
    max_response: int = Field(default=1200, ge=1)
    """csv: tokens of the last response."""
    reward: tuple[RewardChoice, ...] = STEPTOOL_TERMS  # type: ignore[assignment]
    """R_t is the sum of these terms. The defaults give StepTool's released rewards."""
    annotator: JudgeChoice | None = None
    """Judge that annotates the finished trajectories of a round; None takes what is stored with them."""
    repeats: int = Field(default=1, ge=1)
    """Annotations of each trajectory; their mean counts."""
    gamma: float = Field(default=0.99, ge=0, le=1)
    lam: float = Field(default=0.95, ge=0, le=1)
    """Lambda of the generalised advantage estimates."""
    kl_coef: float = Field(default=0.3, ge=0)
    """Initial weight of the KL penalty in the rewards."""
    kl_target: float = Field(default=6.0, gt=0)
    """nats a trajectory, which the weight follows."""
    kl_horizon: int = Field(default=10_000, ge=1)
    """Trajectories over which the weight follows."""
    value_clip: float = Field(default=0.2, gt=0)
    value_coef: float = Field(default=0.1, ge=0)
    """Weight of the value loss."""
    passes: int = Field(default=4, ge=1)
    """Optimiser steps on each batch (PPO epochs)."""
    mini_batch: int = Field(default=2, ge=1)
    """Trajectories over whose tokens one mean is taken."""


_OF_PPO = ("clip", "old_policy", "replay", "normalise", "critic")
UNUSED = {
    "sft": ("rho", "beta", "kl_target", "alarm", *_OF_PPO),
    "replay": ("sft_branches", "rho", *_OF_PPO),
    "rft": ("sft_branches", "rho", *_OF_PPO),
    "ppo": ("sft_branches", "rho"),
    "spark": ("sft_branches",),
    "steptool": ("sft_branches", "rho", "beta", "kl_target", "old_policy", "replay", "critic"),
}
"""Keys that a kind of stage does not use."""
_WHY = {"ppo": "its rho is 0", "steptool": "what it uses is in its section steptool"}


class StageConfig(Section):
    """One training stage."""

    kind: Literal["sft", "replay", "rft", "ppo", "spark", "steptool"]
    """sft: imitate judged steps. replay: imitate the inputs of successful steps, advantage 0 (the control). rft:
    imitate successful trajectories. ppo: offline PPO with rho = 0. spark: offline PPO with the diversity term.
    steptool: step-grained policy gradient over the tokens of whole trajectories."""
    data: str = "explore"
    """The round to train on."""
    init: str | None = None
    """The stage to start from; None is the base model."""
    epochs: int = Field(default=1, ge=1)
    lr: float = Field(default=2e-4, gt=0)
    batch_size: int = Field(default=4, ge=1)
    """Questions in one optimiser step; steptool: trajectories."""
    warmup_ratio: float = Field(default=0.0, ge=0, le=1)
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    max_grad_norm: float = Field(default=1.0, gt=0)
    lora: LoraSection = LoraSection()
    gradient_checkpointing: bool = False
    """Keep no activations between layers and compute them again for the gradient: far less memory, a third more
    work."""
    shard: bool = False
    """Divide the frozen layers among the processes of `accelerate launch` (FSDP2): each layer is gathered when it is
    used. It leaves room for activations; while it is loaded, the base still has to fit on one GPU."""
    pack_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one forward pass: rows of an optimiser step (steptool: of a mini-batch) stand side by side in it,
    without padding; what they have in common from the beginning is read once. None: 4096 on a GPU, 2048 on a CPU."""
    save_steps: int = Field(default=20, ge=1)
    """Optimiser steps between checkpoints."""
    report_to: tuple[str, ...] = ()
    """Trackers of transformers.Trainer: tensorboard, wandb, trackio … They have to be installed."""

    sft_branches: Literal["viable", "chosen"] = "viable"
    """sft: learn every branch and every viable candidate of the first step, or only what the selector chose."""
    require_process_ok: bool | None = None
    """Drop trajectories with a step that is not process_ok (SPaRK's filter). None: only sft and rft do."""
    require_correct: bool | None = None
    """Drop trajectories with a wrong final answer (SPaRK's filter). None: only sft and rft do."""
    require_a_success: bool = False
    """Drop questions on which no trajectory succeeded."""

    rho: float = Field(default=0.5, ge=0, le=1)
    """spark: weight of the diversity terms; 1 - rho weighs the others. (ppo is rho = 0.)"""
    clip: float = Field(default=0.2, gt=0, lt=1)
    beta: float = Field(default=1.0, ge=0)
    """Initial weight of the KL^2 penalty."""
    kl_target: float = Field(default=0.2, gt=0)
    """nats a step; beta doubles above 1.5 times the target and halves below two thirds of it."""
    old_policy: Literal["behaviour", "refresh"] = "behaviour"
    """The ratio's denominator: the stored behaviour, or the policy at the start of each epoch."""
    replay: float = Field(default=0.0, ge=0)
    """Weight of imitating the inputs of successful steps beside PPO's loss; the paper has none."""
    normalise: bool = True
    """Divide advantages by their standard deviation; steptool: also subtract their mean."""
    critic: CriticSection = CriticSection()
    alarm: AlarmSection = AlarmSection()
    """Bounds that end a stage or raise a warning."""
    steptool: StepToolSection | None = None
    """steptool: its settings."""

    @model_validator(mode="before")
    @classmethod
    def _own_section(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("kind") == "steptool" and data.get("steptool") is None:
            return {**data, "steptool": {}}
        return data

    @model_validator(mode="after")
    def _section_fits(self) -> StageConfig:
        section = self.steptool
        if section is not None and self.kind != "steptool":
            raise ValueError(f"a stage of kind {self.kind} takes no section steptool")
        reads_csv = section is not None and section.csv is not None
        of_rounds = ("require_process_ok", "require_correct", "require_a_success") if reads_csv else ()
        for key in (*UNUSED[self.kind], *of_rounds):
            if getattr(self, key) != StageConfig.model_fields[key].default:
                why = "it reads a csv" if key in of_rounds else _WHY.get(self.kind, "take it out")
                raise ValueError(f"a stage of kind {self.kind} does not use {key}: {why}")
        if section is not None and section.csv and section.annotator:
            raise ValueError("steptool.annotator: the rewards of a csv come with it; leave one of them out")
        return self
