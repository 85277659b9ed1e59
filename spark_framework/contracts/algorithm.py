"""The contract of kind `algorithm`: how a stage learns from stored rollouts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..records import Trajectory
from .components import Component, ComponentConfig
from .stage import CriticConfig, StageConfig


@dataclass(frozen=True)
class Work:
    """What an algorithm does with each row: the base of a stage's cost estimate."""

    reference: bool = True
    """The policy that the stage starts from reads every row once, before training."""
    reads: int = 0
    """Further forward passes over every row in each epoch."""
    updates: int = 1
    """Forward and backward passes over every row in each epoch."""
    rows_at_once: int | None = None
    """Rows whose graphs are kept until one backward pass; None: those of one forward pass."""


class Algorithm(Component):
    """How a stage learns: what it takes of a round, how that becomes a loss, and what it costs.

    Most algorithms derive from `TreeAlgorithm`, which needs a loss only. This base is for those that bring a trainer of
    their own. An algorithm keeps no state of training.
    """

    Config: ClassVar[type[ComponentConfig]] = StageConfig

    @property
    def reads_round(self) -> bool:
        """Whether it learns from the round that `data` names. False: it reads a file of its own."""
        return True

    @property
    def annotator(self) -> tuple[Any, int] | None:
        """A judge (a `JudgeSpec`) that annotates the finished trajectories first, and how often it is asked; None takes
        them as they are stored."""
        return None

    def components(self) -> Sequence[Any]:
        """The components that its settings name. `run.json` records them."""
        return ()

    @property
    def work(self) -> Work:
        """What it does with each row, for the cost estimate."""
        return Work()

    @property
    def critic(self) -> CriticConfig | None:
        """The value function that is trained beside the policy; None for none."""
        return None

    @abstractmethod
    def rows(self, data: Any) -> Sequence[Any]:
        """**REQUIRED.** The rows of a stage, as token trees (`TokenTree`).

        Args:
            data: a `StageData`: trajectories, reward terms, the model's limits.

        Raises:
            DataError: there is nothing to learn from.
        """

    def examples(self, data: Any) -> Sequence[tuple[Trajectory, list[float]]] | None:
        """The trajectories that it learns from, each with the reward of its steps, for export as text; None where it
        has none to export."""
        return None

    @property
    @abstractmethod
    def trainer(self) -> Any:
        """**REQUIRED.** The trainer's class, a `StageTrainer`."""
