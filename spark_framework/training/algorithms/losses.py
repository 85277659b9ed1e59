"""The losses, as plain functions of named tensors. Suffixes: D decisions of a row, T free tokens of a row.

Every free token belongs to one decision (`owner_T`). A decision's tokens count by their mean, so that the choice of an
action and the writing of its input weigh alike; a decision counts with `weight_D` (each depth of the row counts once).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.token_tree import Row


@dataclass
class RowTensors:
    """What the losses read of a row."""

    weight_D: Tensor
    ok_D: Tensor
    constrained_D: Tensor
    """1 where the action was drawn from the head, else 0."""
    owner_T: Tensor
    """Index of the decision that each free token belongs to."""

    @property
    def token_weight_T(self) -> Tensor:
        """weight of the owner, divided by the number of its tokens."""
        count_D = torch.zeros_like(self.weight_D).index_add(
            0, self.owner_T, torch.ones(len(self.owner_T)).to(self.weight_D)
        )
        return (self.weight_D / count_D.clamp(min=1))[self.owner_T]


@dataclass
class LogProbs:
    """log pi in nats: of the actions taken [D], of the free tokens [T], of every action in each state [D, actions]."""

    action_D: Tensor
    token_T: Tensor
    head_DA: Tensor
    entropy_T: Tensor | None = None
    """Entropy of the distribution behind each free token, in nats; a figure, without gradient."""

    def split(self, rows: Sequence[Row]) -> list[LogProbs]:
        """The parts of rows that were read together."""
        decisions = [len(row.decisions) for row in rows]
        tokens = [sum(len(d.tokens_at) for d in row.decisions) for row in rows]
        entropies = [None] * len(rows) if self.entropy_T is None else self.entropy_T.split(tokens)
        parts = (self.action_D.split(decisions), self.token_T.split(tokens), self.head_DA.split(decisions), entropies)
        return [LogProbs(*part) for part in zip(*parts, strict=True)]


def imitation_loss(row: RowTensors, logp: LogProbs, *, actions: bool = True, only_ok: bool = False) -> Tensor:
    """Negative log-likelihood of actions and inputs.

    Args:
        actions: False leaves the choice of the action alone (the replay control: advantage 0 for actions).
        only_ok: imitate only decisions that are worth it; their weights are scaled up to the row's total.
    """
    keep_D = row.ok_D if only_ok else torch.ones_like(row.ok_D)
    total = row.weight_D.sum() / (row.weight_D * keep_D).sum().clamp(min=1e-8)
    loss = -(row.token_weight_T * keep_D[row.owner_T] * logp.token_T).sum()
    if actions:
        loss = loss - (row.weight_D * keep_D * row.constrained_D * logp.action_D).sum()
    return loss * total


def clipped_surrogate(logp: Tensor, old: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's objective for each element, to be maximised: min(r A, clip(r) A) (Schulman et al. 2017, eq. 7)."""
    ratio = (logp - old).exp()
    return torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def ppo_loss(row: RowTensors, logp: LogProbs, old: LogProbs, advantage_D: Tensor, clip: float) -> Tensor:
    """Offline PPO over the decisions of a row: the action's ratio and the mean over its tokens' ratios."""
    action = row.constrained_D * clipped_surrogate(logp.action_D, old.action_D, advantage_D, clip)
    token = clipped_surrogate(logp.token_T, old.token_T, advantage_D[row.owner_T], clip)
    return -(row.weight_D * action).sum() - (row.token_weight_T * token).sum()


def kl_to_reference(row: RowTensors, logp: LogProbs, reference: LogProbs) -> Tensor:
    """Distance of pi from the reference, in nats a depth; 0 where they agree, never negative.

    Actions: exactly KL(reference || pi), from the whole head. Tokens: k2 = (log r)^2 / 2 (Schulman 2020) on what was
    written. The less noisy k3 = r - 1 - log r grows with r itself: on offline data, where pi may leave a stored token
    far behind, one token gave a KL of 100 nats and a gradient of 30,000.
    """
    action_D = (reference.head_DA.exp() * (reference.head_DA - logp.head_DA)).sum(-1)
    action = (row.weight_D * row.constrained_D * action_D).sum()
    token = (row.token_weight_T * (logp.token_T - reference.token_T) ** 2 / 2).sum()
    return (action + token) / row.weight_D.sum()


def value_loss(value_D: Tensor, reward_D: Tensor, weight_D: Tensor) -> Tensor:
    """Mean squared error of V(s_t) against R_t (offline: the reward is the target, nothing is bootstrapped)."""
    return (weight_D * (value_D - reward_D) ** 2).sum() / weight_D.sum()


def clipped(logp: Tensor, old: Tensor, clip: float) -> Tensor:
    """1 for each ratio outside [1 - clip, 1 + clip], else 0."""
    return ((logp - old).exp() - 1).abs().gt(clip).float()
