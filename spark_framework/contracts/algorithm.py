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
    """The forward and backward passes over each row, from which the cost of a stage is estimated."""

    reference: bool = True
    """One forward pass over every row with the policy that the stage starts from, before training."""
    reads: int = 0
    """Further forward passes over every row in each epoch."""
    updates: int = 1
    """Forward and backward passes over every row in each epoch."""
    rows_at_once: int | None = None
    """Rows whose graphs stay in memory until one backward pass; None: those of one forward pass."""


class Algorithm(Component):
    """How a stage learns: what it takes from a round, how that becomes a loss, and what it costs.

    Most algorithms derive from `TreeAlgorithm`, which only needs a loss. Derive from this class to bring your own
    trainer. An algorithm holds no training state.
    """

    Config: ClassVar[type[ComponentConfig]] = StageConfig

    @property
    def reads_round(self) -> bool:
        """Whether it learns from the round that `data` names. False: it reads its own file."""
        return True

    @property
    def annotator(self) -> tuple[Any, int] | None:
        """A judge (a `JudgeSpec`) that annotates the finished trajectories first, and the number of times it rates each
        of them; None uses the stored trajectories unchanged."""
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
        """The value function that is trained together with the policy, or None."""
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
        """The trajectories that it learns from, each with the reward of its steps, for export as text; None if
        it has none to export."""
        return None

    @property
    @abstractmethod
    def trainer(self) -> Any:
        """**REQUIRED.** The trainer's class, a `StageTrainer`."""
