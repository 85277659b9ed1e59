"""Alarms for stages whose policy moves too far from its reference, or keeps to one action."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ...contracts.stage import AlarmConfig

WINDOW = 10
"""Number of updates that an alarm averages over, so that one unusual row does not raise it."""
STOP_AT = 10.0
"""Multiple of the KL target at which a stage ends, if `alarm.max_kl` is not set."""


@dataclass(frozen=True)
class Limits:
    """The bounds of a stage's figures, and the setting that the advice names."""

    max_kl: float
    """Mean KL to the reference that ends the stage."""
    min_entropy: float
    """In bits: below this entropy over actions, the monitor warns."""
    unit: str
    """Unit of the KL, for messages."""
    weight_key: str
    """The key that weighs the KL penalty, such as `beta`."""
    weight: float
    """Its value."""

    @classmethod
    def of(cls, alarm: AlarmConfig, *, target: float, unit: str, weight_key: str, weight: float) -> Limits:
        """The bounds that a stage's `alarm` section gives; `target` is its KL target."""
        return cls(alarm.max_kl or STOP_AT * target, alarm.min_entropy, unit, weight_key, weight)


@dataclass(frozen=True)
class Alarm:
    """One line that says what is wrong, and which key to change to what value."""

    text: str
    stop: bool
    """Whether the stage ends here."""


@dataclass
class _Seen:
    """The monitor's state, which checkpoints store."""

    kl: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    warned: bool = False


class TrainingMonitor:
    """The alarms of one stage: the KL to the reference is too large, or the policy keeps to one action.

    Args:
        name: the stage's name in the config, for messages.
        lr: the stage's learning rate, for the advice.
    """

    def __init__(self, name: str, limits: Limits, lr: float) -> None:
        self.name, self.limits, self.lr, self._seen = name, limits, lr, _Seen()

    def after_update(self, kl: float, entropy: float | None) -> Alarm | None:
        """Record an update; returns the alarm that it raises, or None.

        Args:
            kl: to the reference, in the stage's unit.
            entropy: of the distribution over actions, in bits; None if the stage does not choose actions.
        """
        seen = self._seen
        seen.kl = [*seen.kl, kl][-WINDOW:]
        if len(seen.kl) == WINDOW and (alarm := self.of_mean(sum(seen.kl) / WINDOW)):
            return alarm
        if entropy is None:
            return None
        seen.entropy = [*seen.entropy, entropy][-WINDOW:]
        mean = sum(seen.entropy) / WINDOW
        if len(seen.entropy) < WINDOW or mean >= self.limits.min_entropy or seen.warned:
            return None
        seen.warned = True
        return Alarm(
            f"the policy keeps to one action: the entropy over actions is {mean:.3g} bits, below "
            f"{self.limits.min_entropy:g}. Set {self._advice()}",
            stop=False,
        )

    def of_mean(self, kl: float) -> Alarm | None:
        """The alarm for a mean KL over many updates, or None."""
        if kl <= self.limits.max_kl:
            return None
        return Alarm(
            f"the KL to the reference is {kl:.3g} {self.limits.unit}, above {self.limits.max_kl:.3g}: "
            f"the stage ends here. Set {self._advice()}",
            stop=True,
        )

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return asdict(self._seen)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._seen = _Seen(**state)

    def _advice(self) -> str:
        at, lr, key, weight = f"stages.{self.name}", self.lr, self.limits.weight_key, self.limits.weight
        return (
            f"{at}.lr to {lr / 2:.2g} (it is {lr:.2g}), or {at}.{key} to {4 * (weight or 0.25):.2g} (it is "
            f"{weight:.2g})"
        )
