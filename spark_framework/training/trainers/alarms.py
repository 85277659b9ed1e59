"""How far a stage may go from its reference: the penalty's weight, and the alarms."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ...config.training import StageConfig

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
class _Seen:
    """What a resumed run needs."""

    kl: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    warned: bool = False


class Watch:
    """The alarms of one stage: the KL to the reference is too large, the policy keeps to one action.

    Args:
        name: the stage's name in the config, for messages.
    """

    def __init__(self, name: str, stage: StageConfig) -> None:
        self.name, self.stage, self._seen = name, stage, _Seen()
        of_its_own = stage.steptool
        target = stage.kl_target if of_its_own is None else of_its_own.kl_target
        self.limit = stage.alarm.max_kl or STOP_AT * target
        self.unit = "nats a step" if of_its_own is None else "nats a trajectory"
        self.penalty = ("beta", stage.beta) if of_its_own is None else ("steptool.kl_coef", of_its_own.kl_coef)

    def after_update(self, kl: float, entropy: float | None) -> Alarm | None:
        """Take note of an update.

        Args:
            kl: to the reference, in the stage's unit.
            entropy: of the distribution over actions, in bits; None where the stage does not choose actions.
        """
        seen = self._seen
        seen.kl = [*seen.kl, kl][-WINDOW:]
        if len(seen.kl) == WINDOW and (alarm := self.of_mean(sum(seen.kl) / WINDOW)):
            return alarm
        if entropy is None:
            return None
        seen.entropy = [*seen.entropy, entropy][-WINDOW:]
        mean = sum(seen.entropy) / WINDOW
        if len(seen.entropy) < WINDOW or mean >= self.stage.alarm.min_entropy or seen.warned:
            return None
        seen.warned = True
        return Alarm(
            f"the policy keeps to one action: the entropy over actions is {mean:.3g} bits, below "
            f"{self.stage.alarm.min_entropy:g}. Set {self._advice()}",
            stop=False,
        )

    def of_mean(self, kl: float) -> Alarm | None:
        """The alarm that a mean KL of many updates gives."""
        if kl <= self.limit:
            return None
        return Alarm(
            f"the KL to the reference is {kl:.3g} {self.unit}, above {self.limit:.3g}: the stage ends here. Set "
            f"{self._advice()}",
            stop=True,
        )

    def kept(self) -> dict[str, Any]:
        return asdict(self._seen)

    def restore(self, kept: dict[str, Any]) -> None:
        self._seen = _Seen(**kept)

    def _advice(self) -> str:
        at, lr, (key, weight) = f"stages.{self.name}", self.stage.lr, self.penalty
        return (
            f"{at}.lr to {lr / 2:.2g} (it is {lr:.2g}), or {at}.{key} to {4 * (weight or 0.25):.2g} (it is "
            f"{weight:.2g})"
        )


class AdaptiveBeta:
    """The weight of SPaRK's penalty beta * KL^2, which keeps the KL of an epoch near its target."""

    def __init__(self, beta: float, target: float) -> None:
        self.beta, self.target = beta, target
        self._epoch: list[float] = []
        """KL of each update since the epoch began, nats a step."""

    def after_update(self, kl: float) -> None:
        self._epoch.append(kl)

    def end_epoch(self) -> float:
        """Double beta where the epoch's mean KL was above 1.5 times the target (the back-off), halve it where it was
        below two thirds of it. Returns the mean."""
        mean = sum(self._epoch) / len(self._epoch)
        self._epoch = []
        if mean > 1.5 * self.target:
            self.beta *= 2
        elif mean < self.target / 1.5:
            self.beta /= 2
        return mean

    def kept(self) -> dict[str, Any]:
        return {"beta": self.beta, "epoch": self._epoch}

    def restore(self, kept: dict[str, Any]) -> None:
        self.beta, self._epoch = kept["beta"], kept["epoch"]
