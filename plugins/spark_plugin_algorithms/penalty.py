"""The penalty beta * KL^2 with adaptive beta, which keeps the policy near the one that the stage starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from spark_framework.api import AlarmConfig, FilteredStageConfig, Limits, TreeAlgorithm

if TYPE_CHECKING:
    from spark_framework.api import TreeReading, UpdateMetrics


class PenaltyConfig(FilteredStageConfig):
    """Settings of the KL penalty."""

    beta: float = Field(default=1.0, ge=0)
    """Initial weight of the KL^2 penalty."""
    kl_target: float = Field(default=0.2, gt=0)
    """nats a step; beta doubles above 1.5 times the target and halves below two thirds of it."""
    alarm: AlarmConfig = AlarmConfig()
    """Bounds that end a stage or raise a warning."""


class PenalisedAlgorithm(TreeAlgorithm):
    """An algorithm with that penalty."""

    watches_entropy = False
    """Whether a policy that keeps to one action raises a warning."""

    @property
    def beta(self) -> float:
        return float(self.config.beta)

    def next_beta(self, beta: float, mean_kl: float) -> float:
        from spark_framework.api import spark_maths as maths

        return maths.next_beta(beta, mean_kl, self.config.kl_target)

    @property
    def limits(self) -> Limits:
        config = self.config
        alarm = config.alarm if self.watches_entropy else config.alarm.model_copy(update={"min_entropy": 0.0})
        return Limits.of(alarm, target=config.kl_target, unit="nats a step", weight_key="beta", weight=config.beta)

    def penalty(self, row: TreeReading, metrics: UpdateMetrics) -> Any:
        """beta * KL^2 of a row, with its figures: `kl` in nats a step, `approx_kl` in nats a token."""
        from spark_framework.api import spark_maths as maths

        kl = maths.kl_to_reference(row.tensors, row.logp, row.reference)
        metrics.mean("kl", kl)
        metrics.distance(row.tree, row.logp, row.reference)
        return maths.kl_penalty(kl, row.beta)
