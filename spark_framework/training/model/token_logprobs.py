"""Log-probabilities of chosen tokens without all logits in memory: a chunk of tokens at a time, gradient included."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

MAX_LOGITS = 2**24
"""Most logits that exist at a time (64 MiB in single precision)."""


def token_log_probs(hidden_TH: Tensor, head: Any, target_T: Tensor) -> tuple[Tensor, Tensor]:
    """log pi of each target and the entropy of the distribution that it is drawn from, both [T], in nats.

    Equal to `log_softmax(head(hidden))` at the targets. Softmax and sums are in single precision at least. The gradient
    of log pi reaches the hidden states only: the output layer is frozen. The entropy has none.

    Args:
        hidden_TH: the hidden state that predicts each token.
        head: the output layer, a linear layer over the vocabulary.
    """
    logp_T, entropy_T = _TokenLogProbs.apply(hidden_TH, head.weight, getattr(head, "bias", None), target_T)  # type: ignore[no-untyped-call]
    return logp_T, entropy_T


class _TokenLogProbs(torch.autograd.Function):
    """d log pi(t) / d h = W_t - sum_v pi(v) W_v is a vector for each token: it is kept from the forward pass, where the
    softmax is at hand, so that the backward pass is one product and no logits are computed twice."""

    @staticmethod
    def forward(
        ctx: Any, hidden_TH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, target_T: Tensor
    ) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(hidden_TH.dtype, torch.float32)
        logp_T = hidden_TH.new_empty(len(target_T), dtype=dtype)
        entropy_T = torch.empty_like(logp_T)
        slope_TH = torch.empty_like(hidden_TH) if ctx.needs_input_grad[0] else None
        size = max(1, MAX_LOGITS // len(weight_VH))
        for first in range(0, len(target_T), size):
            part = slice(first, first + size)
            chosen_T1 = target_T[part, None]
            logits_TV = linear(hidden_TH[part], weight_VH, bias_V).to(dtype)
            highest_T1 = logits_TV.amax(-1, keepdim=True)
            pi_TV = (logits_TV - highest_T1).exp_()
            total_T1 = pi_TV.sum(-1, keepdim=True)
            normaliser_T1 = highest_T1 + total_T1.log()
            pi_TV.div_(total_T1)
            logp_T[part] = (logits_TV.gather(1, chosen_T1) - normaliser_T1)[:, 0]
            entropy_T[part] = normaliser_T1[:, 0] - torch.linalg.vecdot(pi_TV, logits_TV)
            if slope_TH is not None:
                pi_TV.neg_().scatter_add_(1, chosen_T1, torch.ones_like(total_T1))
                slope_TH[part] = pi_TV.to(weight_VH.dtype) @ weight_VH
        ctx.save_for_backward(slope_TH)
        ctx.mark_non_differentiable(entropy_T)
        return logp_T, entropy_T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_T: Tensor, _: Any) -> tuple[Tensor, None, None, None]:
        (slope_TH,) = ctx.saved_tensors
        return (upstream_T[:, None] * slope_TH).to(slope_TH.dtype), None, None, None
