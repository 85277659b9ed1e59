"""A reward for rare actions, measured by use instead of by score."""

from __future__ import annotations

import math
from typing import Literal

from spark_framework.api import ComponentConfig, RewardTerm, Step, Trajectory, hookimpl


class UsageRarity(RewardTerm):
    """Surprise of the chosen action: -log2(share) / log2(number of actions), cut to [0, 1]; 0 for the closing answer.

    At an even share (1 / number of actions) the term is 1; for an action that is always taken it is 0.
    """

    name = "usage_rarity"

    class Config(ComponentConfig):
        of: Literal["counts", "policy"] = "counts"
        """`counts`: share of uses so far, each action counted once more than it was used.
        `policy`: the policy's own probability, renormalised over the step's candidates."""
        only_when_ok: bool = True
        """Reward rarity only where the chosen step is sound."""

    def value(self, step: Step, trajectory: Trajectory) -> float:
        if step.is_answer or (self.config.only_when_ok and not trajectory.process_ok(step)):
            return 0.0
        actions = {candidate.action for candidate in step.candidates}
        if len(actions) < 2:
            return 0.0
        share = self._share(step, actions)
        return 1.0 if share == 0 else min(1.0, max(0.0, -math.log2(share) / math.log2(len(actions))))

    def _share(self, step: Step, actions: set[str]) -> float:
        if self.config.of == "counts":
            weights = {action: step.usage.get(action, 0) + 1.0 for action in actions}
        elif step.action_probs:
            weights = {action: step.action_probs.get(action, 0.0) for action in actions}
        else:
            raise ValueError("usage_rarity with of=policy needs the policy's action probabilities: use of=counts here")
        return weights[step.candidate.action] / (sum(weights.values()) or 1.0)


@hookimpl
def spark_reward_terms() -> list[type[RewardTerm]]:
    return [UsageRarity]
