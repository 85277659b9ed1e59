"""Computes reward terms on stored trajectories."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ...contracts.components import RewardTerm
from ...errors import DataError
from ...records import Step, Trajectory

WeightedTerms = Sequence[tuple[float, RewardTerm]]
"""Reward terms, each with its weight."""


def step_rewards(trajectory: Trajectory, terms: WeightedTerms) -> list[float]:
    """The weighted sum of some terms for each step of a trajectory, the closing answer included.

    Raises:
        DataError: a term failed, or its value is not finite.
    """
    return [sum(w * term_value(term, step, trajectory) for w, term in terms) for step in trajectory.steps]


def with_action_probs(trajectories: Sequence[Trajectory], probs: Sequence[dict[str, float]]) -> Iterator[Trajectory]:
    """The trajectories with new action probabilities instead of the stored ones.

    An action that was rare when the data were generated may be frequent now. Terms that read `action_probs` need the
    current values.

    Args:
        probs: for each step of each trajectory in turn, the action distribution in its state.
    """
    current = iter(probs)
    for trajectory in trajectories:
        steps = tuple(step.model_copy(update={"action_probs": next(current)}) for step in trajectory.steps)
        yield trajectory.model_copy(update={"steps": steps})


def term_value(term: RewardTerm, step: Step, trajectory: Trajectory) -> float:
    """The value of one term for one step of a trajectory.

    Raises:
        DataError: the term failed, or its value is not finite.
    """
    where = f"trajectory {trajectory.id}, step {trajectory.steps.index(step)}"
    try:
        value = term.value(step, trajectory)
    except Exception as exc:
        raise DataError(f"reward term {term.name} failed at {where}: {type(exc).__name__}: {exc}") from exc
    if not math.isfinite(value):
        raise DataError(f"reward term {term.name} returned {value} at {where}; a reward has to be finite")
    return value
