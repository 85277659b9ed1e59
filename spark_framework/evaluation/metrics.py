"""Figures of an evaluation, each with a 95 % interval. What is not defined is None, never NaN or 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..records import ANSWER, THINK, Trajectory
from ..stats.arrays import Floats
from ..stats.bootstrap import estimate_over_questions
from ..stats.entropy import entropy
from ..stats.intervals import EstimateWithInterval, wilson


class ToolEntropy(NamedTuple):
    """Entropy in bits of the actions that were taken, `answer` left out."""

    marginal: EstimateWithInterval | None
    by_category: dict[str, EstimateWithInterval]
    given_category: EstimateWithInterval | None
    """H(action | category): the categories' entropies, weighted by their number of actions."""


class PolicyEntropy(NamedTuple):
    """Entropy in bits of the policy's own distribution over the nine actions in the first state."""

    mean: EstimateWithInterval | None
    """Mean over questions of each distribution's entropy."""
    marginal: EstimateWithInterval | None
    """Entropy of the mean distribution."""


def tool_entropy(trajectories: Sequence[Trajectory]) -> ToolEntropy:
    """Entropy of the actions taken (chain of thought included): overall, in each category, and given the category."""
    actions = sorted(_actions(trajectories))
    if not actions:
        return ToolEntropy(None, {}, None)
    categories = sorted({t.question.category for t in trajectories})
    shape = (len(categories), len(actions))

    def counts(trajectory: Trajectory) -> Floats:
        table = np.zeros(shape)
        for step in trajectory.steps:
            if not step.is_answer:
                table[categories.index(trajectory.question.category), actions.index(step.candidate.action)] += 1
        return table.ravel()

    rows_ICA = _by_question(trajectories, counts).reshape(-1, *shape)
    by_category = {}
    for k, category in enumerate(categories):
        rows_IA = rows_ICA[:, k][rows_ICA[:, k].sum(axis=-1) > 0]
        if (estimate := _estimate(rows_IA, entropy)) is not None:
            by_category[category] = estimate

    def given_category(means: Floats) -> Floats:
        table = means.reshape(-1, *shape)
        share = table.sum(axis=-1) / table.sum(axis=(-2, -1), keepdims=True)[..., 0]
        return np.asarray((share * np.nan_to_num(entropy(table))).sum(axis=-1))

    acting = rows_ICA[rows_ICA.sum(axis=(-2, -1)) > 0]
    return ToolEntropy(
        _estimate(acting.sum(axis=1), entropy),
        by_category,
        _estimate(acting.reshape(len(acting), -1), given_category),
    )


def policy_entropy(trajectories: Sequence[Trajectory]) -> PolicyEntropy:
    """Exact entropy of the policy's distribution in the first state, `answer` dropped and the rest renormalised.

    Trajectories without stored probabilities are left out.
    """
    known = [t for t in trajectories if t.steps and sum(_tool_probs(t).values()) > 0]
    actions = sorted({action for t in known for action in _tool_probs(t)})

    def distribution(trajectory: Trajectory) -> Floats:
        probs = _tool_probs(trajectory)
        row = np.array([probs.get(action, 0.0) for action in actions])
        row /= row.sum()
        return np.concatenate([row, [entropy(row), 1.0]])  # the last column counts a question's trajectories

    rows = _by_question(known, distribution)
    mean = _estimate(rows[:, -2:], lambda means: means[:, 0] / means[:, 1])
    return PolicyEntropy(mean, _estimate(rows[:, :-2], entropy))


def valid_calls(trajectories: Sequence[Trajectory]) -> float | None:
    """Share of executed tool calls that were valid and succeeded. Chain of thought is no call."""
    chosen = [step.candidate for t in trajectories for step in t.steps if not step.is_answer]
    executed = [candidate.ok for candidate in chosen if candidate.action != THINK and candidate.ok is not None]
    return sum(executed) / len(executed) if executed else None


def summary(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """All figures of an evaluation as plain JSON. `mean_steps` counts the actions before the answer."""
    n = len(trajectories)
    tools, policy = tool_entropy(trajectories), policy_entropy(trajectories)
    counts = _actions(trajectories)
    overall = _accuracy(trajectories)
    return {
        "n": n,
        "accuracy": overall["accuracy"],
        "accuracy_95": overall["accuracy_95"],
        "by_category": _split(trajectories, lambda t: t.question.category),
        "by_group": _split(trajectories, lambda t: t.question.group),
        "unparsed": sum(t.answer is None for t in trajectories),
        "tool_entropy_bits": _value(tools.marginal),
        "tool_entropy_95": _interval(tools.marginal),
        "tool_entropy_by_category": {
            category: {"bits": estimate.value, "interval": _interval(estimate)}
            for category, estimate in tools.by_category.items()
        },
        "tool_entropy_given_category_bits": _value(tools.given_category),
        "policy_entropy_bits": _value(policy.mean),
        "policy_entropy_95": _interval(policy.mean),
        "policy_entropy_marginal_bits": _value(policy.marginal),
        "valid_calls": valid_calls(trajectories),
        "mean_steps": sum(counts.values()) / n if n else None,
        "tools": dict(counts.most_common()),
    }


def _estimate(rows: Floats, statistic: Callable[[Floats], Floats]) -> EstimateWithInterval | None:
    return estimate_over_questions(rows, statistic) if len(rows) else None


def _by_question(trajectories: Sequence[Trajectory], row: Callable[[Trajectory], Floats]) -> Floats:
    """One row a question: the sum over its trajectories, since branches of one question are not independent."""
    rows: dict[str, Floats] = {}
    for trajectory in trajectories:
        key = trajectory.question.id
        rows[key] = rows[key] + row(trajectory) if key in rows else row(trajectory)
    return np.stack(list(rows.values())) if rows else np.zeros((0, 2))


def _actions(trajectories: Sequence[Trajectory]) -> Counter[str]:
    return Counter(step.candidate.action for t in trajectories for step in t.steps if not step.is_answer)


def _tool_probs(trajectory: Trajectory) -> dict[str, float]:
    return {action: p for action, p in trajectory.steps[0].action_probs.items() if action != ANSWER}


def _accuracy(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    n, correct = len(trajectories), sum(t.correct for t in trajectories)
    return {
        "n": n,
        "accuracy": correct / n if n else None,
        "accuracy_95": list(wilson(correct, n)) if n else None,
    }


def _split(trajectories: Sequence[Trajectory], key: Callable[[Trajectory], str]) -> dict[str, dict[str, Any]]:
    names = sorted({key(t) for t in trajectories} - {""})
    return {name: _accuracy([t for t in trajectories if key(t) == name]) for name in names}


def _value(estimate: EstimateWithInterval | None) -> float | None:
    return None if estimate is None else estimate.value


def _interval(estimate: EstimateWithInterval | None) -> list[float] | None:
    return None if estimate is None else [estimate.low, estimate.high]
