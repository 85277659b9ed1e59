"""Rows as a loss sees them, with log-probabilities that no model gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # `spark_framework.testing` is imported without torch
    import torch
    from torch import Tensor

    from ..training.algorithm import TreeAlgorithm
    from ..training.data.tensors import LogProbs, TreeReading, TreeTensors
    from ..training.data.token_tree import TokenTree

NEAR = 0.05
"""nats: standard deviation of a log-probability's distance from the reference and from the old policy."""


class Learnt(NamedTuple):
    """What an algorithm makes of one row."""

    loss: Any
    gradients: list[Tensor | None]
    """By the log-probabilities: of the actions taken [D], of the free tokens [T], of all actions [D, A]."""
    figures: dict[str, float]


def tensors_of(rows: Sequence[TokenTree]) -> list[TreeTensors]:
    """What the losses read of some rows, in single precision."""
    import torch

    from ..training.data.tensors import TreeTensors

    return [TreeTensors.of(row, "cpu", torch.float32) for row in rows]


def values_of(algorithm: TreeAlgorithm, tensors: Sequence[TreeTensors]) -> list[Tensor]:
    """[D] of each row: V_old; zeros without a critic, as in training."""
    import torch

    generator = torch.Generator().manual_seed(1)
    if algorithm.critic is None:
        return [torch.zeros_like(row.weight_D) for row in tensors]
    return [torch.rand(len(row.weight_D), generator=generator) for row in tensors]


def readings(algorithm: TreeAlgorithm, rows: Sequence[TokenTree]) -> list[TreeReading]:
    """The rows with random log-probabilities of the policy, which require a gradient; the reference and the old policy
    are near it. The same rows give the same numbers."""
    import torch

    from ..training.data.tensors import TreeReading

    generator, tensors = torch.Generator().manual_seed(0), tensors_of(rows)
    actions = sorted({d.action for row in rows for d in row.decisions})
    advantages = algorithm.advantages([row.reward_D for row in tensors], values_of(algorithm, tensors))
    with_reference = algorithm.work.reference
    made = []
    for index, (row, seen) in enumerate(zip(rows, tensors, strict=True)):
        taken = [actions.index(d.action) for d in row.decisions]
        logits_DA = torch.randn(len(taken), len(actions), generator=generator)
        token_T = -torch.rand(len(seen.owner_T), generator=generator)
        logp, reference, old = (_near(logits_DA, token_T, taken, generator) for _ in range(3))
        for leaf in (logp.action_D, logp.token_T, logp.head_DA):
            leaf.requires_grad_()
        made.append(
            TreeReading(
                tree=row, tensors=seen, logp=logp, reference=reference if with_reference else None,
                old=old if with_reference else None, advantage_D=None if advantages is None else advantages[index],
                beta=algorithm.beta or 0.0,
            )
        )  # fmt: skip
    return made


def _near(logits_DA: Tensor, token_T: Tensor, taken: list[int], generator: torch.Generator) -> LogProbs:
    """Log-probabilities near some numbers.

    Args:
        taken: index of each decision's action.
    """
    import torch

    from ..training.data.tensors import LogProbs

    near_DA = logits_DA + NEAR * torch.randn(logits_DA.shape, generator=generator)
    near_T = token_T - NEAR * torch.rand(token_T.shape, generator=generator)
    head_DA = near_DA.log_softmax(-1)
    return LogProbs(head_DA[range(len(taken)), taken], near_T, head_DA, entropy_T=-near_T)


def learn(algorithm: TreeAlgorithm, reading: TreeReading) -> Learnt:
    """The loss of a row, its gradients and its figures."""
    import torch

    from ..training.trainers.metrics import UpdateMetrics

    metrics, logp = UpdateMetrics(), reading.logp
    metrics.policy(reading.tree, logp)
    loss: Any = algorithm.loss(reading, metrics)
    gradients: list[Tensor | None] = []
    if isinstance(loss, torch.Tensor) and loss.requires_grad and loss.ndim == 0:
        leaves = (logp.action_D, logp.token_T, logp.head_DA)
        gradients = list(torch.autograd.grad(loss, leaves, allow_unused=True, retain_graph=True))
    return Learnt(loss, gradients, metrics.compute())
