"""A reward for rare actions, measured by use instead of by score."""

from __future__ import annotations

from typing import Literal

from spark_framework.api import ComponentConfig, RewardTerm, Step, Trajectory, hookimpl


class UsageRarity(RewardTerm):
    """How much rarer the action is than the favourite: 1 - use / largest use, in [0, 1]; 0 for the closing answer.

    The most used action earns nothing, one that is hardly ever used earns almost 1.
    """

    name = "usage_rarity"

    class Config(ComponentConfig):
        of: Literal["counts", "policy"] = "counts"
        """`counts`: use is how often an action was chosen so far, plus one.
        `policy`: use is the probability that the policy gave it in this state."""
        only_when_ok: bool = True
        """Reward rarity only where the chosen step is sound."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        if step.is_answer or (self.config.only_when_ok and not trajectory.process_ok(step)):
            return 0.0
        use = self._use(step)
        return 1.0 - use[step.candidate.action] / max(use.values())

    def _use(self, step: Step) -> dict[str, float]:
        actions = {candidate.action for candidate in step.candidates}
        if self.config.of == "counts":
            return {action: step.usage.get(action, 0) + 1.0 for action in actions}
        if not step.action_probs:
            raise ValueError("usage_rarity with of=policy needs the policy's action probabilities: use of=counts here")
        return {action: step.action_probs.get(action, 0.0) for action in actions}


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [UsageRarity]
