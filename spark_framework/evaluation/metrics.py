"""Figures of an evaluation, each with a 95 % interval. What is not there is None, never NaN and never zero."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spark_framework.records import ANSWER, THINK, Trajectory

Floats = NDArray[np.float64]
_CHUNK = 4_000_000
"""Resampled weights held at once (32 MB)."""


class Estimate(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


class ToolEntropy(NamedTuple):
    """Entropy in bits of the actions that were taken, `answer` left out."""

    marginal: Estimate | None
    by_category: dict[str, Estimate]
    given_category: Estimate | None
    """H(action | category): the categories' entropies, weighted by their number of actions."""


class PolicyEntropy(NamedTuple):
    """Entropy in bits of the policy's own distribution over the nine actions in the first state."""

    mean: Estimate | None
    """Mean over questions of each distribution's entropy."""
    marginal: Estimate | None
    """Entropy of the mean distribution."""


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share. With n = 0 nothing is known: (0, 1)."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = successes / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(correct_a: Sequence[bool], correct_b: Sequence[bool]) -> float:
    """Exact two-sided p of McNemar's test: is A right where B is wrong as often as the other way round?"""
    if len(correct_a) != len(correct_b):
        raise ValueError(f"{len(correct_a)} answers against {len(correct_b)}: the test needs the same questions")
    only_a = sum(bool(a) and not b for a, b in zip(correct_a, correct_b, strict=True))
    only_b = sum(bool(b) and not a for a, b in zip(correct_a, correct_b, strict=True))
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def entropy_bits(weights: Mapping[Any, float] | ArrayLike) -> float | None:
    """Shannon entropy in bits of counts or probabilities, which need not sum to 1. None where all are zero."""
    row = np.asarray(list(weights.values()) if isinstance(weights, Mapping) else weights, dtype=np.float64)
    if not np.all(np.isfinite(row)) or np.any(row < 0):
        raise ValueError("counts and probabilities are finite and not negative")
    return float(_entropy(row)) if row.sum() > 0 else None


def bootstrap_interval(
    values: ArrayLike, statistic: Callable[[Floats], Floats], resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a statistic of means, by resampling questions.

    Args:
        values: one row a question, shape (questions,) or (questions, columns).
        statistic: from means of shape (resamples, columns) to figures of shape (resamples,).

    Resampling lowers entropies a little, so that the whole interval could lie below the estimate: it is widened to
    hold it. Where there is no question, ValueError.
    """
    rows_QK = np.asarray(values, dtype=np.float64)
    n = len(rows_QK)
    if n == 0:
        raise ValueError("no question to resample")
    rows_QK = rows_QK.reshape(n, -1)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // n)
    means = []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn_RQ = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        weights_RQ = np.bincount(drawn_RQ.ravel(), minlength=size * n).reshape(size, n)
        means.append(weights_RQ @ rows_QK / n)
    low, high = np.percentile(statistic(np.concatenate(means)), [2.5, 97.5])
    value = statistic(rows_QK.mean(axis=0, keepdims=True))[0]
    return float(min(low, value)), float(max(high, value))


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

    rows_QCA = _by_question(trajectories, counts).reshape(-1, *shape)
    by_category = {}
    for k, category in enumerate(categories):
        rows_QA = rows_QCA[:, k][rows_QCA[:, k].sum(axis=-1) > 0]
        if (estimate := _estimate(rows_QA, _entropy)) is not None:
            by_category[category] = estimate

    def given_category(means: Floats) -> Floats:
        table = means.reshape(-1, *shape)
        share = table.sum(axis=-1) / table.sum(axis=(-2, -1), keepdims=True)[..., 0]
        return np.asarray((share * _entropy(table)).sum(axis=-1))

    acting = rows_QCA[rows_QCA.sum(axis=(-2, -1)) > 0]
    return ToolEntropy(
        _estimate(acting.sum(axis=1), _entropy),
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
        return np.concatenate([row, [_entropy(row), 1.0]])  # the last column counts a question's trajectories

    rows = _by_question(known, distribution)
    mean = _estimate(rows[:, -2:], lambda means: means[:, 0] / means[:, 1])
    return PolicyEntropy(mean, _estimate(rows[:, :-2], _entropy))


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


def _entropy(weights: Floats) -> Floats:
    """Entropy in bits along the last axis; 0 where a row is all zero."""
    total = weights.sum(axis=-1, keepdims=True)
    p = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
    return np.asarray(np.abs((p * logs).sum(axis=-1)))


def _estimate(rows: Floats, statistic: Callable[[Floats], Floats]) -> Estimate | None:
    if not len(rows):
        return None
    value = float(statistic(rows.mean(axis=0, keepdims=True))[0])
    return Estimate(value, *bootstrap_interval(rows, statistic))


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


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _interval(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else [estimate.low, estimate.high]
