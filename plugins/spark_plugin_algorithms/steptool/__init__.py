"""`steptool`: StepTool's step-grained policy gradient over the tokens of complete trajectories (arXiv 2410.07745)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from spark_framework.api import (
    AlarmConfig,
    Algorithm,
    ComponentConfig,
    FilteredStageConfig,
    JudgeSpec,
    RewardSpec,
    RewardTerm,
    StageData,
    TokenTree,
    Trajectory,
    Work,
    filtered_questions,
    hookimpl,
    step_rewards,
)

if TYPE_CHECKING:
    from .trainer import StepTrainer

TERMS = (
    {"use": "succ_calling", "weight": 0.5},
    {"use": "contribution", "weight": 0.5},
    {"use": "is_solved", "weight": 1.0},
)


class StepToolSection(ComponentConfig):
    """StepTool's step-grained optimisation. The defaults are those of its released settings."""

    compat: Literal["paper", "released"] = "paper"
    """`paper`: every step's reward counts, and discounting is by step. `released`: as in the published code, in which
    the last step's reward never reaches the loss."""
    csv: Path | None = None
    """StepTool's own `step_grained_for_ppo.csv` in place of a round: it holds the rewards, and `data` is ignored."""
    max_context: int = Field(default=4096, ge=1)
    """csv: tokens before the last response; a longer context is cut at the beginning."""
    max_response: int = Field(default=1200, ge=1)
    """csv: tokens of the last response."""
    reward: tuple[RewardSpec, ...] = Field(default=TERMS, validate_default=True)
    """R_t is the sum of these terms. The defaults give StepTool's released rewards."""
    annotator: JudgeSpec | None = None
    """Judge that annotates the finished trajectories of a round; None takes the annotations stored with them."""
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


class StepTool(Algorithm):
    """Step-grained PPO: rewards for every step, generalised advantages over the response tokens of a trajectory."""

    name = "steptool"

    class Config(FilteredStageConfig):
        clip: float = Field(default=0.2, gt=0, lt=1)
        """Ratios count within [1 - clip, 1 + clip]."""
        normalise: bool = True
        """Give advantages mean 0 and variance 1 over a batch."""
        alarm: AlarmConfig = AlarmConfig()
        """Bounds that end a stage or raise a warning. The KL is in nats a trajectory."""
        steptool: StepToolSection = Field(default_factory=StepToolSection)
        """StepTool's own settings."""

        @model_validator(mode="before")
        @classmethod
        def _empty_section(cls, data: object) -> object:
            if isinstance(data, dict) and "steptool" in data and data["steptool"] is None:
                return {key: value for key, value in data.items() if key != "steptool"}
            return data

        @model_validator(mode="after")
        def _one_source(self) -> StepTool.Config:
            if self.steptool.csv is None:
                return self
            for key in ("require_process_ok", "require_correct", "require_a_success"):
                if getattr(self, key):
                    raise ValueError(f"{key} filters a round, and this stage reads a csv; leave one of them out")
            if self.steptool.annotator:
                raise ValueError("steptool.annotator: a csv already holds rewards; leave one of them out")
            return self

    @property
    def reads_round(self) -> bool:
        return self.config.steptool.csv is None

    @property
    def annotator(self) -> tuple[Any, int] | None:
        section = self.config.steptool
        return None if section.annotator is None else (section.annotator, section.repeats)

    def components(self) -> Sequence[Any]:
        section = self.config.steptool
        return [*section.reward, *([] if section.annotator is None else [section.annotator])]

    @property
    def work(self) -> Work:
        section = self.config.steptool
        return Work(reads=1, updates=section.passes, rows_at_once=section.mini_batch)

    def examples(self, data: StageData) -> list[tuple[Trajectory, list[float]]]:
        terms = [
            (choice.weight, term)
            for choice in self.config.steptool.reward
            if isinstance(term := choice.build(), RewardTerm)  # the config has checked the kinds
        ]
        return [(one, step_rewards(one, terms)) for kept in filtered_questions(data, self.config) for one in kept]

    def rows(self, data: StageData) -> Sequence[TokenTree]:
        from .rows import csv_rows, trajectory_row

        if not self.reads_round:
            return csv_rows(self.config.steptool, data)
        return [trajectory_row(one, rewards, data.max_tokens) for one, rewards in self.examples(data)]

    @property
    def trainer(self) -> type[StepTrainer]:
        from .trainer import StepTrainer

        return StepTrainer


@hookimpl
def spark_algorithms() -> list[type[Algorithm]]:
    return [StepTool]
