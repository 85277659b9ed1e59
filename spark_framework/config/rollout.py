"""How trajectories come about: rounds of rollouts, tools' recorded replies, rewards, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ..host.component_spec import RewardChoice
from .section import Section


class RoundConfig(Section):
    """One round of rollouts."""

    name: str = Field(default="explore", pattern=r"^[A-Za-z0-9_-]+$")
    questions: int = Field(default=100, ge=1)
    proposer: Literal["policy", "scripted"] = "policy"
    """Who writes the candidates: the policy itself, or the question set's own script (it knows the solution)."""
    adapter: str | None = None
    """Stage whose adapter the policy carries; None is the base model."""
    temperature: float = Field(default=0.7, ge=0)
    execute: Literal["chosen", "all"] = "all"
    """Whether all candidates are executed before they are judged, or only the one that was chosen."""
    branches: int = Field(default=1, ge=1)
    """How many candidates of the first step are followed to the end: the selector's choice, then others."""
    branch_among: Literal["viable", "policy"] = "viable"
    """Where further branches come from: viable candidates only, or all of them, drawn by the policy's own probabilities
    (temperature 2), so that failures are seen too."""
    wave_size: int = Field(default=64, ge=1)
    """Questions that are rolled out together; a killed run repeats at most one wave's work."""
    max_failed: float = Field(default=0.02, ge=0, le=1)
    """Share of trajectories that may be dropped because their judge failed."""


class RepliesSection(Section):
    """What tools of the network said. It is kept, so that a run can be replayed and nothing is asked twice."""

    mode: Literal["use", "refresh", "only"] = "use"
    """`use` asks only what is not recorded, `refresh` asks everything again, `only` asks nothing: a call without a
    recorded reply ends the command."""
    file: Path | None = None
    """An SQLite file, which several runs may share. None: `replies.sqlite` in the run's folder."""


class RewardSection(Section):
    """R_t = rho * (sum of the diversity terms) + (1 - rho) * (sum of the process terms) (SPaRK, section 3)."""

    diversity: tuple[RewardChoice, ...] = ("diversity_gap",)  # type: ignore[assignment]
    process: tuple[RewardChoice, ...] = ("process_penalty",)  # type: ignore[assignment]


class EvaluationSection(Section):
    """The policy acts alone on held-out questions."""

    questions: int | None = Field(default=100, ge=1)
    """None: the whole test split."""
    temperatures: tuple[float, ...] = (0.0,)
    """0 is greedy; the first one is the one that the ladder shows."""
    batch_size: int = Field(default=32, ge=1)

    @field_validator("temperatures")
    @classmethod
    def _some(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if not temperatures or min(temperatures) < 0:
            raise ValueError("give at least one temperature, none below 0")
        return temperatures
