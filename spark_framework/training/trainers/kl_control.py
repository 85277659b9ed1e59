"""The weight of the KL penalty: adapted after each epoch by the algorithm's rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class AdaptiveKLController:
    """Holds the weight, and the KL of each update since the start of the epoch.

    Args:
        beta: the initial weight.
        rule: gives the new weight from the old one and an epoch's mean KL.
    """

    def __init__(self, beta: float, rule: Callable[[float, float], float]) -> None:
        self.beta, self._rule = beta, rule
        self._epoch: list[float] = []

    def after_update(self, kl: float) -> None:
        """Record an update's KL."""
        self._epoch.append(kl)

    def end_epoch(self) -> float:
        """Adapt the weight. Returns the epoch's mean KL."""
        mean = sum(self._epoch) / len(self._epoch)
        self._epoch = []
        self.beta = self._rule(self.beta, mean)
        return mean

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {"beta": self.beta, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.beta, self._epoch = state["beta"], state["epoch"]
