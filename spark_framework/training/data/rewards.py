"""Step rewards of trajectories: R_t = rho * (diversity terms) + (1 - rho) * (process terms) (SPaRK, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...contracts.components import RewardTerm
from ...errors import DataError
from ...records import Step, Trajectory


def step_rewards(
    trajectory: Trajectory,
    diversity: Sequence[tuple[float, RewardTerm]],
    process: Sequence[tuple[float, RewardTerm]],
    rho: float,
) -> list[float]:
    """One reward for each step of a trajectory, the closing answer included.

    Args:
        diversity, process: (weight, term) pairs.
        rho: in [0, 1]; 0 is plain PPO.
    """
    weighted = [(rho * w, term) for w, term in diversity if rho > 0] + [((1 - rho) * w, term) for w, term in process]
    return [sum(w * _value(term, step, trajectory) for w, term in weighted) for step in trajectory.steps]


def refreshed_rewards(
    trajectories: Sequence[Trajectory],
    probs: Sequence[dict[str, float]],
    diversity: Sequence[tuple[float, RewardTerm]],
    process: Sequence[tuple[float, RewardTerm]],
    rho: float,
) -> list[float]:
    """The rewards of all steps with the policy's probabilities of today in place of the stored ones.

    What was rare when the data was made may be the favourite now: a term that reads `action_probs` has to see that.

    Args:
        probs: for each step of each trajectory in turn, the action distribution in its state.
    """
    today = iter(probs)
    rewards = []
    for trajectory in trajectories:
        steps = tuple(step.model_copy(update={"action_probs": next(today)}) for step in trajectory.steps)
        rewards += step_rewards(trajectory.model_copy(update={"steps": steps}), diversity, process, rho)
    return rewards


def _value(term: RewardTerm, step: Step, trajectory: Trajectory) -> float:
    where = f"trajectory {trajectory.id}, step {trajectory.steps.index(step)}"
    try:
        value = term.value(step, trajectory)
    except Exception as exc:
        raise DataError(f"reward term {term.name} failed at {where}: {type(exc).__name__}: {exc}") from exc
    if not math.isfinite(value):
        raise DataError(f"reward term {term.name} gave {value} at {where}; a reward has to be finite")
    return value
