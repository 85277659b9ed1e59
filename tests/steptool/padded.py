"""StepTool's maths on padded rows, laid out as TRL and the released code lay them out.

Suffixes: B rows of a batch, T positions; position t predicts token t + 1. A run of ones in `mask_BT` is the response of
one step. The stage itself pads nothing; this form is for comparison with recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spark_framework.training.algorithms.steptool import (
    Compat,
    ResponseSpans,
    StepLoss,
    advantages,
    step_loss,
    token_rewards,
    whiten,
)

Rows = Sequence[Sequence[float]] | Tensor
"""Lists, or a tensor."""


@dataclass(frozen=True)
class PaddedAdvantages:
    """All [B, T], and 0 where the mask is 0."""

    reward_BT: Tensor
    """-kl_coef * (log pi - log pi_ref), and the step's reward at its last token."""
    return_BT: Tensor
    """advantage_BT + V."""
    advantage_BT: Tensor
    """Generalised advantage estimates, not whitened."""
    whitened_BT: Tensor
    """Mean 0 and unbiased variance 1 over all positions of the batch where the mask is 1."""


def padded_advantages(
    mask_BT: Rows, score_BS: Rows, logp_BT: Rows, reference_BT: Rows, value_BT: Rows,
    *, compat: Compat, gamma: float = 0.99, lam: float = 0.95, kl_coef: float = 0.3,
) -> PaddedAdvantages:  # fmt: skip
    """Rewards, returns and advantages of a batch.

    Args:
        mask_BT: 1 where a response token is predicted.
        score_BS: the rewards of each row's steps; rows may have different numbers of them. Where the row shows fewer
            steps, its last rewards count.
        logp_BT, reference_BT: log-probabilities of the policy and of the reference, in nats.
        value_BT: V.
    """
    mask = torch.as_tensor(mask_BT).bool()
    logp, reference, value = (torch.as_tensor(rows, dtype=torch.float32) for rows in (logp_BT, reference_BT, value_BT))
    rewards, raw, returns = [], [], []
    for row, seen in enumerate(mask):
        places = ResponseSpans.of_mask(seen.tolist())
        scores = torch.as_tensor(score_BS[row], dtype=torch.float32)
        reward_T = token_rewards(scores, logp[row][seen], reference[row][seen], places, kl_coef=kl_coef, compat=compat)
        advantage_T, return_T = advantages(reward_T, value[row][seen], places, gamma=gamma, lam=lam, compat=compat)
        rewards.append(reward_T)
        raw.append(advantage_T)
        returns.append(return_T)
    flat = [torch.cat(parts) for parts in (rewards, returns, raw)]
    return PaddedAdvantages(*(_spread(mask, one) for one in (*flat, whiten(flat[-1]))))


def padded_loss(
    mask_BT: Rows, logp_BT: Rows, old_BT: Rows, advantage_BT: Rows, value_BT: Rows, value_old_BT: Rows, return_BT: Rows,
    *, clip: float = 0.2, value_clip: float = 0.2,
) -> StepLoss:  # fmt: skip
    """PPO's clipped losses, as means over all positions where the mask is 1; all arguments [B, T].

    `StepLoss.total(0.1)` is the loss with the released weight of the value loss.
    """
    mask = torch.as_tensor(mask_BT).bool()
    given: Any = (logp_BT, old_BT, advantage_BT, value_BT, value_old_BT, return_BT)
    parts = [torch.as_tensor(rows, dtype=torch.float32)[mask] for rows in given]
    return step_loss(*parts, clip=clip, value_clip=value_clip)


def _spread(mask_BT: Tensor, values: Tensor) -> Tensor:
    """Put the values where the mask is 1, row by row."""
    spread = torch.zeros(mask_BT.shape)
    spread[mask_BT] = values
    return spread
