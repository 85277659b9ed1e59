"""StepTool's evaluation: pass rate by a judge over several runs, successful calls, recall of needed tools."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from ..errors import DataError
from ..evaluation.metrics import valid_calls
from ..records import THINK, Trajectory
from ..stats.bootstrap import estimate_over_questions
from .predictions import json_of

Needed = Mapping[str, Sequence[frozenset[str]]]
"""For each question's id what is needed: sets of tools of which one each will do."""


def figures(trajectories: Sequence[Trajectory], needed: Needed | None = None) -> dict[str, Any]:
    """The figures of some trajectories as plain JSON. Unknown figures are None.

    The pass rate of a run of the judge is the mean over the queries of Solved 1, Unsure 0.5, Unsolved 0; a query with
    several branches counts with their mean. `pass_rate` is the mean over the runs, `pass_rate_std` their standard
    deviation (None for one run), `pass_rate_95` a bootstrap interval over the queries.

    Args:
        trajectories: annotated (`with_annotations`) where a pass rate is wanted. One without an answer is unsolved.
        needed: None takes the questions' plans, where they have some.
    """
    runs = _solved_by_run(trajectories)
    by_query = [fmean(scores) for scores in zip(*(run.values() for run in runs.values()), strict=True)]
    rates = [fmean(run.values()) for run in runs.values()]
    recall = tool_recall(trajectories, planned(trajectories) if needed is None else needed)
    return {
        "queries": len({one.question.id for one in trajectories}),
        "pass_rate": fmean(rates) if rates else None,
        "pass_rate_95": _interval(by_query) if by_query else None,
        "pass_rate_by_run": rates,
        "pass_rate_std": pstdev(rates) if len(rates) > 1 else None,
        "call_success_rate": valid_calls(trajectories),
        "tool_recall": fmean(recall.values()) if recall else None,
        "tool_recall_queries": len(recall),
        "mean_calls": fmean(len(called_tools(one)) for one in trajectories) if trajectories else None,
    }


def _interval(by_query: Sequence[float]) -> list[float]:
    estimate = estimate_over_questions(by_query, lambda means: means[:, 0])
    return [estimate.low, estimate.high]


def tool_recall(trajectories: Sequence[Trajectory], needed: Needed) -> dict[str, float]:
    """For each query of which the needed tools are known: the share of them that was called, well or not."""
    by_query: dict[str, list[float]] = defaultdict(list)
    for one in trajectories:
        if wanted := needed.get(one.question.id):
            called = set(called_tools(one))
            by_query[one.question.id].append(fmean(bool(called & tools) for tools in wanted))
    return {query: fmean(shares) for query, shares in by_query.items()}


def called_tools(trajectory: Trajectory) -> list[str]:
    """The tools of a trajectory's calls, in order. Chain of thought is not a call."""
    return [s.candidate.action for s in trajectory.steps if not s.is_answer and s.candidate.action != THINK]


def planned(trajectories: Sequence[Trajectory]) -> dict[str, list[frozenset[str]]]:
    """What the questions' own plans need: the tools that solve each step. Steps that a thought solves need none."""
    plans = {
        one.question.id: [frozenset(call.action for call in step) for step in one.question.plan] for one in trajectories
    }
    return {query: [step for step in steps if THINK not in step] for query, steps in plans.items()}


def read_needed(path: Path) -> dict[str, list[frozenset[str]]]:
    """Needed tools from a JSON file: an object with a list of tool names for each query's id.

    Raises:
        DataError: the file has another form.
    """
    read = json_of(path)
    if not isinstance(read, dict):
        raise DataError(f"{path} is not a JSON object with a list of tool names for each query")
    for query, names in read.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"{path}, query {query}: not a list of tool names")
    return {query: [frozenset({name}) for name in names] for query, names in read.items()}


def _solved_by_run(trajectories: Sequence[Trajectory]) -> dict[str, dict[str, float]]:
    """Of each run of the judge IsSolved by query. Runs are the annotations' repeats; empty without annotations."""
    finished = [one for one in trajectories if one.steps[-1].is_answer]
    marks = [one.steps[-1].marks for one in finished]
    if not any("is_solved" in one for one in marks):
        return {}
    if missing := [one.id for one, mark in zip(finished, marks, strict=True) if "is_solved" not in mark]:
        raise DataError(
            f"trajectory {missing[0]} has no annotations, but others have: name a judge to annotate all of them"
        )
    names = sorted({key for one in marks for key in one if key.startswith("is_solved/")}) or ["is_solved"]
    found: dict[str, dict[str, float]] = {}
    for name in names:
        scores: dict[str, list[float]] = defaultdict(list)
        for one in trajectories:
            given = one.steps[-1].marks
            scores[one.question.id].append(given.get(name, given["is_solved"]) if one.steps[-1].is_answer else 0.0)
        found[name] = {query: fmean(values) for query, values in scores.items()}
    return found
