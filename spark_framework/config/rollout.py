"""Settings of rounds of rollouts, tools' recorded replies, rewards and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ..host.component_spec import RewardSpec
from .section import Section


class RoundConfig(Section):
    """One round of rollouts."""

    name: str = Field(default="explore", pattern=r"^[A-Za-z0-9_-]+$")
    questions: int = Field(default=100, ge=1)
    proposer: Literal["policy", "scripted"] = "policy"
    """Who writes the candidates: the policy itself, or the question set's own script (it knows the solution)."""
    adapter: str | None = None
    """Stage whose adapter the policy uses; None is the base model."""
    temperature: float = Field(default=0.7, ge=0)
    execute: Literal["chosen", "all"] = "all"
    """Whether all candidates are executed before they are judged, or only the chosen one afterwards."""
    branches: int = Field(default=1, ge=1)
    """Number of candidates of the first step that are followed to the end: the selector's choice, then others."""
    branch_among: Literal["viable", "policy"] = "viable"
    """Where further branches come from: `viable` draws from viable candidates only, `policy` from all of them, so that
    failures are seen too. Both draw by the policy's own probabilities (temperature 2)."""
    wave_size: int = Field(default=64, ge=1)
    """Questions that are rolled out together; a killed run repeats at most one wave's work."""
    max_failed: float = Field(default=0.02, ge=0, le=1)
    """Share of trajectories that may be dropped because their judge failed."""


class RepliesSection(Section):
    """Recorded replies of tools that use the network. With them a run can be replayed, and no request is sent twice."""

    mode: Literal["use", "refresh", "only"] = "use"
    """`use` sends only requests without a recorded reply, `refresh` sends all of them again, `only` sends none: a call
    without a recorded reply ends the command."""
    file: Path | None = None
    """An SQLite file, which several runs may share. None: `replies.sqlite` in the run's folder."""


class RewardSection(Section):
    """R_t = rho * (sum of the diversity terms) + (1 - rho) * (sum of the process terms) (SPaRK, section 3)."""

    diversity: tuple[RewardSpec, ...] = ("diversity_gap",)  # type: ignore[assignment]
    process: tuple[RewardSpec, ...] = ("process_penalty",)  # type: ignore[assignment]


class EvaluationSection(Section):
    """The policy acts alone on held-out questions."""

    questions: int | None = Field(default=100, ge=1)
    """None: the entire test split."""
    temperatures: tuple[float, ...] = (0.0,)
    """0 is greedy. The ladder shows the first one."""
    batch_size: int = Field(default=32, ge=1)
    extraction: Literal["resolve", "official"] = "resolve"
    """How an option is read from an answer. `resolve`: its text, letter or number. `official`: a letter, as MMLU-Pro's
    own script reads it. An answer from which no option can be read is wrong."""

    @field_validator("temperatures")
    @classmethod
    def _some(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if not temperatures or min(temperatures) < 0:
            raise ValueError("give at least one temperature, none below 0")
        return temperatures
