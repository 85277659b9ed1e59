"""StepTool on one screen: rewards, advantages, loss and KL weight, in the order in which an update computes them
(arXiv 2410.07745; docs/explanation/steptool.md).

Shapes: S steps; T response tokens of one trajectory, all steps in order (in the losses: of several trajectories, one
after another). Nothing is padded, and the environment's tokens are not in T. `compat` selects one of two systems:

* `paper`: every step's reward counts once, and time passes once a step. Within a step nothing is discounted, and the
  observation between two steps costs nothing, so A(s_t, a_t) = G_t - V over steps (StepTool, section on optimisation).
* `released`: the published code. Step i of S counts S - 1 - i times, so the last step's reward never counts; time
  passes once a token, the environment's tokens included.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.response_spans import Compat, ResponseSpans
from .spark import clipped_surrogate

RATIO_LIMIT = 10.0
"""A mini-batch whose mean ratio is above it is not learnt from."""


def token_rewards(
    score_S: Tensor, logp_T: Tensor, reference_T: Tensor, places: ResponseSpans, *, kl_coef: float, compat: Compat
) -> Tensor:
    """[T]: the k1 penalty -kl_coef * (log pi - log pi_ref) at every token, and each step's reward at its last token.

    Where the row was cut and lost its first steps, the last scores belong to the steps that are left.
    """
    ends_S = places.ends_S
    count = len(ends_S)
    kept_S = score_S[max(0, len(score_S) - count) :]
    if compat == "released":
        weight_S = torch.arange(count - 1, -1, -1).to(kept_S)
        kept_S = kept_S * weight_S[count - len(kept_S) :]
    reward_T = -kl_coef * (logp_T - reference_T)
    return reward_T.index_add(0, ends_S[count - len(kept_S) :], kept_S.to(reward_T))


def advantages(
    reward_T: Tensor, value_T: Tensor, places: ResponseSpans, *, gamma: float, lam: float, compat: Compat
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and the returns A + V, both [T] (Schulman et al. 2016, eq. 16).

    A_j = r_j + b_j V_{j+1} - V_j + c_j A_{j+1} with b_j = gamma and c_j = gamma lam wherever time passes.
    """
    bootstrap, carry = places.discounts(gamma, lam, compat)
    estimates: list[float] = []
    advantage = next_value = 0.0
    steps = zip(reward_T.tolist(), value_T.tolist(), bootstrap, carry, strict=True)
    for reward, value, b, c in reversed(list(steps)):
        advantage = reward + b * next_value - value + c * advantage
        next_value = value
        estimates.append(advantage)
    advantage_T = torch.tensor(estimates[::-1]).to(value_T)
    return advantage_T, advantage_T + value_T


def whiten(advantage_T: Tensor) -> Tensor:
    """Mean 0 and variance 1 (unbiased) over all response tokens of a batch."""
    if len(advantage_T) < 2:
        return advantage_T - advantage_T.mean()
    return (advantage_T - advantage_T.mean()) * torch.rsqrt(advantage_T.var() + 1e-8)


@dataclass(frozen=True)
class StepLoss:
    """The loss of a mini-batch and what it is made of; scalars. Those of its parts add up to it."""

    policy: Tensor
    value: Tensor
    clip_fraction: Tensor
    """Share of tokens on which the clipped term counts."""
    value_clip_fraction: Tensor
    mean_ratio: Tensor

    def total(self, value_coef: float) -> Tensor:
        """policy + value_coef * value; zero where the policy has left the data far behind."""
        loss = self.policy + value_coef * self.value
        return loss * 0.0 if self.mean_ratio > RATIO_LIMIT else loss


def step_loss(
    logp_T: Tensor, old_T: Tensor, advantage_T: Tensor, value_T: Tensor, value_old_T: Tensor, return_T: Tensor,
    *, clip: float, value_clip: float, tokens: int | None = None,
) -> StepLoss:  # fmt: skip
    """PPO's clipped surrogate and clipped value loss, as means over the tokens of a mini-batch.

    Args:
        tokens: of the whole mini-batch, where T is only a part of it.
    """
    tokens = len(logp_T) if tokens is None else tokens
    surrogate_T = clipped_surrogate(logp_T, old_T, advantage_T, clip)
    ratio_T = (logp_T - old_T).exp()
    near_T = value_old_T + (value_T - value_old_T).clamp(-value_clip, value_clip)
    error_T, near_error_T = (value_T - return_T) ** 2, (near_T - return_T) ** 2
    return StepLoss(
        policy=-surrogate_T.sum() / tokens,
        value=torch.max(error_T, near_error_T).sum() / tokens / 2,
        clip_fraction=(surrogate_T < ratio_T * advantage_T).sum() / tokens,
        value_clip_fraction=(near_error_T > error_T).sum() / tokens,
        mean_ratio=ratio_T.sum().detach() / tokens,
    )


def adapted_kl_coef(kl_coef: float, kl: float, *, target: float, horizon: int, trajectories: int) -> float:
    """The penalty's weight after a batch (Ziegler et al. 2019, section 2.2).

    Args:
        kl: in nats a trajectory: the sum over its tokens, averaged over the batch.
        trajectories: in the batch.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * trajectories / horizon)
