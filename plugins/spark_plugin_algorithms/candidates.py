"""Rows of all judged candidates, for algorithms that compare the candidates of one state."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial

from spark_framework.api import (
    Candidate,
    FilteredStageConfig,
    StageData,
    TokenTree,
    Trajectory,
    add_candidates,
    build_tree,
    filtered_questions,
)

log = logging.getLogger(__name__)
Values = Callable[[Trajectory, int, Sequence[float]], Sequence[float]]
"""The value of each candidate of a step, from the trajectory, the step's number and the judge's scores."""
Wanted = Callable[[float, Sequence[float]], bool]
"""Whether to keep a candidate, from its score and all scores of its step."""


def candidate_trees(
    data: StageData, config: FilteredStageConfig, values: Values, wanted: Wanted = lambda score, scores: True
) -> list[TokenTree]:
    """One row for each question. Its decisions are the judged candidates of each state that its trajectories pass
    through, every candidate once; those of one state have one `state_position`. Closing answers are not among them.

    Each state of a row weighs the same, and in a state each candidate: the weights of a row sum to 1. Candidates that a
    row cannot hold are left out, and a warning counts them.

    Args:
        values: become the rewards of the decisions.
        wanted: which candidates are added; chosen ones are there anyway.

    Raises:
        DataError: nothing passes the filters, or a trajectory cannot be a row.
    """
    rows, faults = [], list[str]()
    for question in filtered_questions(data, config):
        rewards = {one.id: chosen_values(one, values) for one in question}
        row = build_tree(question, rewards, max_tokens=data.max_tokens)
        for one, depth, scores in _states(question):
            of_use = partial(_is_wanted, wanted, scores)
            add_candidates(row, one, depth, of_use, rewards=values(one, depth, scores), faults=faults)
        judged = {d.first_position: d for d in reversed(row.decisions) if d.score is not None}
        row.decisions = list(reversed(judged.values()))
        sizes = Counter(d.state_position for d in row.decisions)
        for decision in row.decisions:
            decision.weight = 1 / (sizes[decision.state_position] * len(sizes))
        if row.decisions:
            rows.append(row)
    if faults:
        log.warning("stage %s: candidates left out: %d; the first: %s", data.stage, len(faults), faults[0])
    return rows


def chosen_values(one: Trajectory, values: Values) -> list[float]:
    """The value of the chosen candidate of each step of a trajectory; 0 for the closing answer."""
    return [
        0.0 if step.verdict is None else values(one, depth, step.verdict.scores)[step.chosen]
        for depth, step in enumerate(one.steps)
    ]


def state_numbers(row: TokenTree) -> list[int]:
    """The state of each decision of a row, numbered from 0."""
    number: dict[int, int] = {}
    return [number.setdefault(d.state_position, len(number)) for d in row.decisions]


def _states(question: Sequence[Trajectory]) -> Iterator[tuple[Trajectory, int, Sequence[float]]]:
    """The judged states of a question: a trajectory, a step, the scores of its candidates. States that
    branches share come once."""
    seen = set()
    for one in question:
        path: Hashable = one.prompt_ids
        for depth, step in enumerate(one.steps):
            key = path, tuple(candidate.token_ids for candidate in step.candidates)
            if step.verdict is not None and key not in seen:
                seen.add(key)
                yield one, depth, step.verdict.scores
            path = path, step.candidate.token_ids, step.context_ids


def _is_wanted(wanted: Wanted, scores: Sequence[float], number: int, candidate: Candidate, score: float) -> bool:
    return wanted(score, scores)
