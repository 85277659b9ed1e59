"""Rows: all trajectories of one question as one token tree, so that shared prefixes are encoded once.

A row is a packed sequence in which every token sees only its ancestors. With a single trajectory it is the plain causal
row; with branches, the prompt and shared steps stand once. Token ids are those that were generated, never re-tokenised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import DataError
from ...records import Candidate, Step, Trajectory


@dataclass
class Decision:
    """One action in a row, with what the losses need to know about it."""

    action: str
    depth: int
    """Which step of its trajectory it is."""
    state_at: int
    """Position whose hidden state is s_t: the last token before the action."""
    first_at: int
    """Position of the action's first token."""
    tokens_at: list[int] = field(default_factory=list)
    """Positions of the free tokens (everything after the opening; all tokens where nothing was constrained)."""
    constrained: bool = True
    """The first token was drawn from the action head."""
    reward: float = 0.0
    ok: bool = True
    """Its trajectory succeeded (right answer, every step process_ok): worth imitating."""
    weight: float = 1.0
    """1 / number of decisions of the same depth in the row, so that each depth counts once."""
    old: tuple[float, ...] = ()
    """Behaviour log-probabilities in nats: of the action (if constrained), then of the free tokens."""


@dataclass
class Row:
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
        """Append a segment after token `parent` (or find it there); returns the index of its last token."""
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


def build_row(trajectories: Sequence[Trajectory], rewards: dict[str, list[float]], *, max_tokens: int) -> Row:
    """One row from all trajectories of a question.

    Args:
        rewards: for each trajectory's id, one reward a step.
        max_tokens: the model's context length; a longer trajectory is a `DataError`.
    """
    row = Row(name=f"{trajectories[0].round}/{trajectories[0].index}", trajectories=tuple(trajectories))
    for trajectory in trajectories:
        at = row.add(-1, trajectory.prompt_ids)
        for depth, (step, reward) in enumerate(zip(trajectory.steps, rewards[trajectory.id], strict=True)):
            decision, end = _place(row, step.candidate, at, depth, trajectory)
            decision.reward = reward
            decision.ok = trajectory.success
            row.decisions.append(decision)
            at = row.add(end, step.context_ids)
        if row.positions[at] >= max_tokens:
            raise DataError(
                f"trajectory {trajectory.id} has {row.positions[at] + 1} tokens; the model reads {max_tokens}"
            )
    row.balance()
    return row


def add_alternatives(row: Row, step: Step, trajectory: Trajectory, threshold: float) -> None:
    """Add the first step's viable candidates that no trajectory follows, as leaves."""
    assert step.verdict is not None
    taken = {decision.action for decision in row.decisions if decision.depth == 0}
    root = row.add(-1, trajectory.prompt_ids)
    for candidate, score in zip(step.candidates, step.verdict.scores, strict=True):
        if score > threshold and candidate.action not in taken:
            decision, _ = _place(row, candidate, root, 0, trajectory)
            row.decisions.append(decision)
    row.balance()


def _place(row: Row, candidate: Candidate, at: int, depth: int, trajectory: Trajectory) -> tuple[Decision, int]:
    if not candidate.token_ids:
        raise DataError(
            f"trajectory {trajectory.id} holds no token ids (a text-only policy wrote it); roll out with a local policy"
        )
    if candidate.opening >= len(candidate.token_ids):
        raise DataError(
            f"trajectory {trajectory.id}, step {depth}: the action {candidate.action} is empty (nothing follows its "
            "name); take the trajectory out of the file, or generate the round again"
        )
    if candidate.token_logprobs and not (
        len(candidate.token_logprobs) == len(candidate.token_ids) and all(map(math.isfinite, candidate.token_logprobs))
    ):
        raise DataError(
            f"trajectory {trajectory.id}, step {depth}: token_logprobs is not one finite number for each token; "
            "take the trajectory out of the file, or generate the round again"
        )
    end = row.add(at, candidate.token_ids)
    start = end - len(candidate.token_ids) + 1
    old = candidate.token_logprobs
    kept = (*old[: min(1, candidate.opening)], *old[candidate.opening :])
    decision = Decision(
        action=candidate.action, depth=depth, state_at=at, first_at=start,
        tokens_at=list(range(start + candidate.opening, end + 1)),
        constrained=candidate.opening > 0, old=kept,
    )  # fmt: skip
    return decision, end
