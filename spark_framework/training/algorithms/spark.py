"""The equations of SPaRK's offline PPO: reward, advantage, loss, KL, beta, in the order in which an update computes
them (arXiv 2507.11371, section 3).

Shapes: D decisions of one row, T free tokens, A actions (docs/explanation/notation.md). Log-probabilities in nats. A
decision counts with its weight w_D, and its tokens with their mean, so that choosing an action and writing its input
have equal weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.tensors import LogProbs, TreeTensors

MIN_SCALE = 0.1
"""Lower bound of the advantages' standard deviation, so that small differences are not amplified."""


def step_reward(diversity: float, process: float, rho: float) -> float:
    """R_t = rho * sum of the diversity terms + (1 - rho) * sum of the process terms."""
    return rho * diversity + (1 - rho) * process


def advantages(rewards: Sequence[Tensor], values: Sequence[Tensor], *, normalise: bool = True) -> list[Tensor]:
    """A_t = R_t - V_old(s_t) for each row [D], divided by its standard deviation over all decisions."""
    gaps = [reward_D - value_D for reward_D, value_D in zip(rewards, values, strict=True)]
    scale = torch.cat(gaps).std().clamp(min=MIN_SCALE) if normalise and sum(map(len, gaps)) > 1 else 1.0
    return [gap_D / scale for gap_D in gaps]


def clipped_surrogate(logp: Tensor, old: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """min(r A, clip(r, 1 - clip, 1 + clip) A) for each element, to be maximised (Schulman et al. 2017, eq. 7)."""
    ratio = (logp - old).exp()
    return torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def ppo_loss(row: TreeTensors, logp: LogProbs, old: LogProbs, advantage_D: Tensor, clip: float) -> Tensor:
    """Minus the surrogate of a row, a scalar: of the action, if it was drawn from the head, and the mean over its
    tokens."""
    action_D = row.constrained_D * clipped_surrogate(logp.action_D, old.action_D, advantage_D, clip)
    token_T = clipped_surrogate(logp.token_T, old.token_T, advantage_D[row.owner_T], clip)
    return -(row.weight_D * action_D).sum() - (row.token_weight_T * token_T).sum()


def sft_loss(row: TreeTensors, logp: LogProbs, *, actions: bool = True, only_success: bool = False) -> Tensor:
    """Negative log-likelihood of actions and inputs of a row, a scalar in nats.

    Args:
        actions: False leaves out the choice of the action.
        only_success: imitate decisions of successful trajectories only; their weights are scaled up to the row's total.
    """
    keep_D = row.success_D if only_success else torch.ones_like(row.success_D)
    total = row.weight_D.sum() / (row.weight_D * keep_D).sum().clamp(min=1e-8)
    loss = -(row.token_weight_T * keep_D[row.owner_T] * logp.token_T).sum()
    if actions:
        loss = loss - (row.weight_D * keep_D * row.constrained_D * logp.action_D).sum()
    return loss * total


def kl_to_reference(row: TreeTensors, logp: LogProbs, reference: LogProbs) -> Tensor:
    """Distance of pi from the reference, in nats per depth: 0 if they are equal, never negative.

    Actions: exactly KL(reference || pi), from the whole head. Tokens: k2 = (log r)^2 / 2 (Schulman 2020) on the
    written tokens. The less noisy k3 = r - 1 - log r grows with r itself: offline, where pi may move far from a
    stored token, one token gave a KL of 100 nats and a gradient of 30,000.
    """
    action_D = (reference.head_DA.exp() * (reference.head_DA - logp.head_DA)).sum(-1)
    action = (row.weight_D * row.constrained_D * action_D).sum()
    token = (row.token_weight_T * (logp.token_T - reference.token_T) ** 2 / 2).sum()
    return (action + token) / row.weight_D.sum()


def kl_penalty(kl: Tensor, beta: float) -> Tensor:
    """beta * KL^2."""
    return beta * kl**2


def next_beta(beta: float, mean_kl: float, target: float) -> float:
    """After each epoch: beta doubles above 1.5 times the target, and halves below two thirds of it."""
    if mean_kl > 1.5 * target:
        return beta * 2
    return beta / 2 if mean_kl < target / 1.5 else beta


def value_loss(value_D: Tensor, reward_D: Tensor, weight_D: Tensor) -> Tensor:
    """Mean squared error of V(s_t) against R_t: offline the reward is the target, and nothing is bootstrapped."""
    return (weight_D * (value_D - reward_D) ** 2).sum() / weight_D.sum()
