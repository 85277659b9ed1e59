"""Token trees: all trajectories of one question in one row, so that shared prefixes are encoded once.

A row is a packed sequence in which every token sees only its ancestors. With a single trajectory it is the plain causal
row; with branches, the prompt and shared steps occur once. Token ids are the generated ones; texts are never
re-tokenised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...errors import DataError
from ...records import Candidate, Trajectory


@dataclass
class Decision:
    """One action in a row, with the data that losses need."""

    action: str
    depth: int
    """Index of the step in its trajectory, from 0."""
    state_position: int
    """Position whose hidden state is s_t: the last token before the action."""
    first_position: int
    """Position of the action's first token."""
    token_positions: list[int] = field(default_factory=list)
    """Positions of the free tokens (all tokens after the opening; all tokens if nothing was constrained)."""
    constrained: bool = True
    """Whether the first token was drawn from the action head."""
    reward: float = 0.0
    success: bool = True
    """Whether its trajectory succeeded (right answer, every step process_ok)."""
    weight: float = 1.0
    """1 / number of decisions of the same depth in the row, so that each depth counts once."""
    score: float | None = None
    """The judge's score; None for an answer."""
    behaviour_logprobs: tuple[float, ...] = ()
    """In nats: of the action (if constrained), then of the free tokens."""


@dataclass
class TokenTree:
    """One question's packed tree. N tokens.

    Attributes:
        ids, positions, parents: N each; `parents` is the index of the token before (-1 for the first).
        decisions: trajectory by trajectory, step by step.
    """

    name: str
    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    trajectories: tuple[Trajectory, ...] = ()
    _segments: dict[tuple[int, tuple[int, ...]], int] = field(default_factory=dict, repr=False)

    def add(self, parent: int, ids: Sequence[int]) -> int:
        """Append a segment after token `parent`, unless it is already there; returns the index of its last token."""
        if not ids:
            return parent
        key = (parent, tuple(ids))
        if key not in self._segments:
            for token in ids:
                self.ids.append(token)
                self.positions.append(self.positions[parent] + 1 if parent >= 0 else 0)
                self.parents.append(parent)
                parent = len(self.ids) - 1
            self._segments[key] = parent
        return self._segments[key]

    def balance(self) -> None:
        """Set the decisions' weights: each depth counts once, whatever the number of branches."""
        depths = [decision.depth for decision in self.decisions]
        for decision in self.decisions:
            decision.weight = 1.0 / depths.count(decision.depth)


def build_tree(trajectories: Sequence[Trajectory], rewards: dict[str, list[float]], *, max_tokens: int) -> TokenTree:
    """One row from all trajectories of a question.

    Args:
        rewards: for each trajectory's id, one reward per step.
        max_tokens: the model's context length.

    Raises:
        DataError: a trajectory is longer, or has no usable token ids.
    """
    row = TokenTree(name=f"{trajectories[0].round}/{trajectories[0].index}", trajectories=tuple(trajectories))
    for trajectory in trajectories:
        at = row.add(-1, trajectory.prompt_ids)
        for depth, (step, reward) in enumerate(zip(trajectory.steps, rewards[trajectory.id], strict=True)):
            decision, end = _place(row, step.candidate, at, depth, trajectory, step.score)
            decision.reward = reward
            decision.success = trajectory.success
            row.decisions.append(decision)
            at = row.add(end, step.context_ids)
        if row.positions[at] >= max_tokens:
            raise DataError(
                f"trajectory {trajectory.id} has {row.positions[at] + 1} tokens; the model reads {max_tokens}"
            )
    row.balance()
    return row


def add_candidates(
    row: TokenTree, trajectory: Trajectory, depth: int, wanted: Callable[[int, Candidate, float], bool],
    *, rewards: Sequence[float] | None = None, faults: list[str] | None = None,
) -> list[Decision]:  # fmt: skip
    """Add candidates of one step that are not decisions of the row yet, as leaves. Returns the new decisions.

    Args:
        depth: index of the step in the trajectory; the step needs a verdict.
        wanted: gets each candidate's number, the candidate and its score, and returns whether to add it.
        rewards: one for each candidate of the step; None is 0.
        faults: collects a line for each wanted candidate that a row cannot hold; the candidate is skipped. None raises
            `DataError` instead.
    """
    step = trajectory.steps[depth]
    assert step.verdict is not None
    at = row.add(-1, trajectory.prompt_ids)
    for earlier in trajectory.steps[:depth]:
        at = row.add(row.add(at, earlier.candidate.token_ids), earlier.context_ids)
    taken = {decision.first_position for decision in row.decisions if decision.state_position == at}
    added = []
    for number, (candidate, score) in enumerate(zip(step.candidates, step.verdict.scores, strict=True)):
        if not wanted(number, candidate, score):
            continue
        if faults is not None and (fault := _fault(candidate, trajectory, depth)):
            faults.append(fault)
            continue
        decision, _ = _place(row, candidate, at, depth, trajectory, score)
        if rewards is not None:
            decision.reward = rewards[number]
        if decision.first_position not in taken:
            taken.add(decision.first_position)
            added.append(decision)
    row.decisions += added
    row.balance()
    return added


def _place(
    row: TokenTree, candidate: Candidate, at: int, depth: int, trajectory: Trajectory, score: float | None
) -> tuple[Decision, int]:
    if fault := _fault(candidate, trajectory, depth):
        raise DataError(fault)
    end = row.add(at, candidate.token_ids)
    start = end - len(candidate.token_ids) + 1
    old = candidate.token_logprobs
    kept = (*old[: min(1, candidate.opening)], *old[candidate.opening :])
    decision = Decision(
        action=candidate.action, depth=depth, state_position=at, first_position=start,
        token_positions=list(range(start + candidate.opening, end + 1)),
        constrained=candidate.opening > 0, score=score, behaviour_logprobs=kept,
    )  # fmt: skip
    return decision, end


def _fault(candidate: Candidate, trajectory: Trajectory, depth: int) -> str | None:
    """Why a row cannot hold a candidate, in one line; None if it can."""
    if not candidate.token_ids:
        return (
            f"trajectory {trajectory.id} holds no token ids (a text-only policy wrote it); roll out with a local policy"
        )
    if candidate.opening >= len(candidate.token_ids):
        return (
            f"trajectory {trajectory.id}, step {depth}: the action {candidate.action} is empty (there is no token "
            "after its name); remove the trajectory from the file, or generate the round again"
        )
    if candidate.token_logprobs and not (
        len(candidate.token_logprobs) == len(candidate.token_ids) and all(map(math.isfinite, candidate.token_logprobs))
    ):
        return (
            f"trajectory {trajectory.id}, step {depth}: token_logprobs is not one finite number for each token; "
            "remove the trajectory from the file, or generate the round again"
        )
    return None
