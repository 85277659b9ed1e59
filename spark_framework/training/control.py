"""How far a stage may go from its reference: the penalty's weight, and the alarms."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..config_stages import StageConfig

WINDOW = 10
"""Updates that an alarm looks back on, so that one odd row does not raise it."""
STOP_AT = 10.0
"""Multiple of the KL target at which a stage ends, where `alarm.max_kl` says nothing."""


@dataclass(frozen=True)
class Alarm:
    """One line that says what went wrong and which key to set to what."""

    text: str
    stop: bool
    """The stage ends here."""


@dataclass
class _State:
    """What a resumed run needs."""

    beta: float
    epoch_kl: list[float] = field(default_factory=list)
    """KL of each update since the epoch began."""
    last_kl: list[float] = field(default_factory=list)
    last_entropy: list[float] = field(default_factory=list)
    warned: bool = False


class KlControl:
    """Adaptive beta (SPaRK: penalty beta * KL^2, target 0.2), back-off and alarms of one stage.

    Args:
        name: the stage's name in the config, for messages.
    """

    def __init__(self, name: str, stage: StageConfig) -> None:
        self.name, self.stage = name, stage
        self.limit = stage.alarm.max_kl or STOP_AT * stage.kl_target
        self._state = _State(stage.beta)

    @property
    def beta(self) -> float:
        return self._state.beta

    def after_update(self, kl: float, entropy: float | None) -> Alarm | None:
        """Take note of an update.

        Args:
            kl: nats a step, to the reference.
            entropy: of the distribution over actions, in bits; None where the stage does not choose actions.
        """
        state = self._state
        state.epoch_kl.append(kl)
        state.last_kl = [*state.last_kl, kl][-WINDOW:]
        if len(state.last_kl) == WINDOW and (mean := sum(state.last_kl) / WINDOW) > self.limit:
            return self._exploded(mean)
        if entropy is None:
            return None
        state.last_entropy = [*state.last_entropy, entropy][-WINDOW:]
        mean = sum(state.last_entropy) / WINDOW
        if len(state.last_entropy) < WINDOW or mean >= self.stage.alarm.min_entropy or state.warned:
            return None
        state.warned = True
        return self._collapsed(mean)

    def end_epoch(self) -> Alarm | None:
        """Double beta where the epoch's KL was above 1.5 times the target (the back-off), halve it where the KL was
        below two thirds of it."""
        state, target = self._state, self.stage.kl_target
        mean = sum(state.epoch_kl) / len(state.epoch_kl)
        state.epoch_kl = []
        if mean > 1.5 * target:
            state.beta *= 2
        elif mean < target / 1.5:
            state.beta /= 2
        return self._exploded(mean) if mean > self.limit else None

    def kept(self) -> dict[str, Any]:
        return asdict(self._state)

    def restore(self, kept: dict[str, Any]) -> None:
        self._state = _State(**kept)

    def _exploded(self, kl: float) -> Alarm:
        return Alarm(
            f"the KL to the reference is {kl:.3g} nats a step, above {self.limit:.3g}: the stage ends here. Set "
            f"{self._advice()}",
            stop=True,
        )

    def _collapsed(self, entropy: float) -> Alarm:
        return Alarm(
            f"the policy keeps to one action: the entropy over actions is {entropy:.3g} bits, below "
            f"{self.stage.alarm.min_entropy:g}. Set {self._advice()}",
            stop=False,
        )

    def _advice(self) -> str:
        at = f"stages.{self.name}"
        return (
            f"{at}.lr to {self.stage.lr / 2:.2g} (it is {self.stage.lr:.2g}), or {at}.beta to "
            f"{4 * (self.stage.beta or 0.25):.2g} (it is {self.stage.beta:.2g})"
        )
