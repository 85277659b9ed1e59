"""Inputs and results of a batch of rollouts."""

from __future__ import annotations

from dataclasses import dataclass

from ..policy import Sampling
from ..records import Question, Step, Trajectory
from ..util.decision_key import DecisionKey


@dataclass(frozen=True)
class RoundPlan:
    """Settings of one round of rollouts."""

    round_name: str
    sampling: Sampling
    execute_all: bool = True
    """False executes only the selected candidate, after the judge has scored all of them."""
    branches: int = 1
    """Maximum number of candidates of the first step that are followed."""
    branch_among_viable: bool = True


@dataclass(frozen=True)
class Episode:
    """A trajectory that has not ended."""

    index: int
    """Of the question, in its round."""
    question: Question
    branch: int = 0
    steps: tuple[Step, ...] = ()

    def key(self, seed: int, round_name: str) -> DecisionKey:
        """The key of the episode's next decision."""
        return DecisionKey(seed, round_name, self.index, self.branch, len(self.steps))


@dataclass(frozen=True)
class DroppedTrajectory:
    """A trajectory that was dropped because the judge failed."""

    index: int
    """Of the question, in its round."""
    reason: str
    """Trajectory, step and error, in one line."""


@dataclass(frozen=True)
class RolloutResult:
    """The finished trajectories by question and branch, and those that were dropped."""

    trajectories: list[Trajectory]
    dropped: list[DroppedTrajectory]
