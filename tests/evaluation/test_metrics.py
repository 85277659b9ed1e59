"""Figures against scipy and against counting by hand."""

from __future__ import annotations

import json

import pytest
from scipy import stats

from spark_framework.evaluation.metrics import (
    policy_entropy,
    summary,
    tool_entropy,
    valid_calls,
)
from spark_framework.records import Candidate, Question, Step, Trajectory
from spark_framework.stats.intervals import wilson


def trajectory(
    key: str,
    actions: str = "",
    *,
    correct: bool = True,
    category: str = "math",
    group: str = "",
    probs: dict[str, float] | None = None,
    oks: tuple[bool | None, ...] = (),
    unparsed: bool = False,
) -> Trajectory:
    names = actions.split()
    oks = oks or (True,) * len(names)
    steps = [
        Step(candidates=(Candidate(action=name, arguments={}, ok=ok),), action_probs=probs or {})
        for name, ok in zip(names, oks, strict=True)
    ]
    steps.append(Step(candidates=(Candidate(action="answer", arguments={"text": "A"}),), action_probs=probs or {}))
    question = Question(id=key, text="?", options=("1", "2"), answer=0, category=category, source="test", group=group)
    answer = None if unparsed else (0 if correct else 1)
    return Trajectory(
        id=key, round="eval", index=0, question=question, steps=tuple(steps), answer=answer, correct=correct
    )


def test_tool_entropy_overall_by_category_and_given_category() -> None:
    rows = [trajectory(f"m{k}", "calculator think") for k in range(4)]
    rows += [trajectory(f"h{k}", "search", category="history") for k in range(8)]
    entropy = tool_entropy(rows)
    assert entropy.marginal is not None
    assert entropy.given_category is not None
    assert entropy.marginal.value == pytest.approx(stats.entropy([4, 4, 8], base=2))
    assert entropy.by_category["math"][:3] == pytest.approx((1.0, 1.0, 1.0))
    assert entropy.by_category["history"][:3] == pytest.approx((0.0, 0.0, 0.0))
    assert entropy.given_category.value == pytest.approx(0.5)
    assert entropy.marginal.low < entropy.marginal.value <= entropy.marginal.high


def test_branches_of_a_question_are_one_unit_of_resampling() -> None:
    """Two questions, each with one tool: a resample is all the one, all the other, or even."""
    rows = [trajectory(name, name) for name in ("calculator", "search") for _ in range(50)]
    entropy = tool_entropy(rows).marginal
    assert entropy is not None
    assert entropy[:3] == pytest.approx((1.0, 0.0, 1.0))


def test_policy_entropy_drops_answer_and_renormalises() -> None:
    rows = [
        trajectory("a", probs={"x": 0.25, "y": 0.25, "answer": 0.5}),
        trajectory("b", probs={"x": 0.0, "y": 0.5, "answer": 0.5}),
        trajectory("unknown"),
    ]
    entropy = policy_entropy(rows)
    assert entropy.mean is not None
    assert entropy.marginal is not None
    assert entropy.mean.value == pytest.approx(0.5)
    assert entropy.marginal.value == pytest.approx(stats.entropy([0.25, 0.75], base=2))
    assert policy_entropy(rows[2:]) == (None, None)


def test_valid_calls_counts_executed_tools_only() -> None:
    row = trajectory("a", "calculator search think python", oks=(True, False, False, None))
    assert valid_calls([row]) == 0.5
    assert valid_calls([trajectory("b", "think")]) is None


def test_summary_is_plain_json() -> None:
    rows = [
        trajectory("a", "calculator search", group="seen", probs={"calculator": 1.0}),
        trajectory("b", "search", correct=False, category="history", group="new", unparsed=True),
    ]
    figures = summary(rows)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert (figures["n"], figures["accuracy"], figures["unparsed"], figures["mean_steps"]) == (2, 0.5, 1, 1.5)
    assert figures["accuracy_95"] == list(wilson(1, 2))
    assert figures["by_category"]["history"] == {"n": 1, "accuracy": 0.0, "accuracy_95": list(wilson(0, 1))}
    assert set(figures["by_group"]) == {"seen", "new"}
    assert figures["tools"] == {"search": 2, "calculator": 1}
    assert figures["tool_entropy_bits"] == pytest.approx(stats.entropy([2, 1], base=2))
    assert figures["tool_entropy_given_category_bits"] == pytest.approx(2 / 3)
    assert figures["policy_entropy_bits"] == 0.0
    assert figures["valid_calls"] == 1.0


def test_an_empty_summary_has_no_invented_figures() -> None:
    figures = summary([])
    assert figures["n"] == figures["unparsed"] == 0
    empty = {"n", "unparsed", "by_category", "by_group", "tool_entropy_by_category", "tools"}
    assert all(value is None for name, value in figures.items() if name not in empty)
    assert all(figures[name] == {} for name in empty - {"n", "unparsed"})
    json.dumps(figures, allow_nan=False)
