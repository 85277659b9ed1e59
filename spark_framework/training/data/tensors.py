"""What a forward pass reads of rows, and what the losses read of its results (docs/explanation/notation.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...models.tree_attention import segments
from .token_tree import TokenTree


@dataclass
class LogProbs:
    """log pi in nats: of the actions taken [D], of the free tokens [T], of every action in each state [D, A]."""

    action_D: Tensor
    token_T: Tensor
    head_DA: Tensor
    entropy_T: Tensor | None = None
    """Entropy of the distribution behind each free token, in nats; a figure, without gradient."""


@dataclass
class TreeTensors:
    """What the losses read of a row. Every free token belongs to one decision."""

    weight_D: Tensor
    """Weight of each decision; each depth of the row sums to 1."""
    token_weight_T: Tensor
    """Weight of a token's decision, divided by the number of that decision's tokens."""
    reward_D: Tensor
    success_D: Tensor
    """1 where the decision's trajectory succeeded, else 0."""
    constrained_D: Tensor
    """1 where the action was drawn from the action head, else 0."""
    owner_T: Tensor
    """Index of the decision that each free token belongs to."""

    @classmethod
    def of(cls, row: TokenTree, device: Any, precision: torch.dtype) -> TreeTensors:
        def tensor(values: list[float]) -> Tensor:
            return torch.tensor(values, device=device, dtype=precision)

        weight_D = tensor([d.weight for d in row.decisions])
        owner_T = torch.tensor([i for i, d in enumerate(row.decisions) for _ in d.token_positions], device=device)
        owner_T = owner_T.long()
        count_D = torch.zeros_like(weight_D).index_add(0, owner_T, torch.ones(len(owner_T)).to(weight_D))
        return cls(
            weight_D=weight_D,
            token_weight_T=(weight_D / count_D.clamp(min=1))[owner_T],
            reward_D=tensor([d.reward for d in row.decisions]),
            success_D=tensor([float(d.success) for d in row.decisions]),
            constrained_D=tensor([float(d.constrained) for d in row.decisions]),
            owner_T=owner_T,
        )

    def weighted(self, action_D: Tensor, token_T: Tensor) -> Tensor:
        """The sum of a number over a row: of each action that was drawn from the head, and the mean over its tokens,
        by the decisions' weights."""
        return (self.weight_D * self.constrained_D * action_D).sum() + (self.token_weight_T * token_T).sum()


@dataclass
class TreeReading:
    """A row as a loss sees it: the policy's log-probabilities with a gradient, and what they are compared with."""

    tree: TokenTree
    tensors: TreeTensors
    logp: LogProbs
    reference: Any = None
    """`LogProbs` of the policy that the stage starts from; None where the algorithm's `work` asks for none."""
    old: Any = None
    """`LogProbs` of the behaviour policy, or of the policy at the start of the epoch; None with the reference."""
    advantage_D: Any = None
    """[D]: the row's advantages; None where the algorithm gives none."""
    beta: float = 0.0
    """Weight of the KL penalty."""


@dataclass
class PassInputs:
    """The rows of one forward pass, merged into one tree of N tokens with D decisions and T free tokens."""

    indices: list[int]
    ids_N: Tensor
    positions_N: Tensor
    segments: Any
    """The tree, cut for attention (`models.tree_attention`)."""
    state_D: Tensor
    """Position of each decision's state."""
    label_D: Tensor
    """Index of each decision's action in the head; 0 (masked by the losses) where nothing was constrained."""
    before_T: Tensor
    """Position whose hidden state predicts each free token."""
    target_T: Tensor
    decisions: list[int]
    """Number of decisions of each row."""
    tokens: list[int]
    """Number of free tokens of each row."""
    places: list[list[int]]
    """Where the tokens of each row are in the tree."""

    @classmethod
    def of(
        cls, indices: Sequence[int], rows: Sequence[TokenTree], whole: TokenTree, places: list[list[int]],
        actions: Sequence[int], device: Any,
    ) -> PassInputs:  # fmt: skip
        """
        Args:
            whole, places: what `packing.merge_trees` makes of the rows.
            actions: token id of each action's name, in the order of the head.
        """

        def tensor(values: list[int]) -> Tensor:
            return torch.tensor(values, device=device, dtype=torch.long)

        label = {token: index for index, token in reversed(list(enumerate(actions)))}
        at_T = [t for d in whole.decisions for t in d.token_positions]
        return cls(
            indices=list(indices),
            ids_N=tensor(whole.ids),
            positions_N=tensor(whole.positions),
            segments=segments(whole.parents, device),
            state_D=tensor([d.state_position for d in whole.decisions]),
            label_D=tensor([label[whole.ids[d.first_position]] if d.constrained else 0 for d in whole.decisions]),
            before_T=tensor([whole.parents[t] for t in at_T]),
            target_T=tensor([whole.ids[t] for t in at_T]),
            decisions=[len(row.decisions) for row in rows],
            tokens=[sum(len(d.token_positions) for d in row.decisions) for row in rows],
            places=places,
        )
