"""Where the response tokens of a trajectory are in its row of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Compat = Literal["paper", "released"]
"""Which of two systems is computed (training.algorithms.steptool)."""


@dataclass(frozen=True)
class ResponseSpans:
    """The response tokens T of one trajectory, all steps S in order."""

    step_T: Tensor
    """Number of the step that each token belongs to, from 0 and without gaps."""
    position_T: Tensor
    """Position of each token in the row of tokens."""

    @property
    def ends_S(self) -> Tensor:
        """Index into T of each step's last token."""
        last = self.step_T.new_tensor([-1])
        return (torch.cat([self.step_T, last]).diff() != 0).nonzero()[:, 0]

    @classmethod
    def of_mask(cls, mask: Sequence[float]) -> ResponseSpans:
        """The spans of a row in which every run of ones is a step."""
        position_T = torch.tensor(mask).nonzero()[:, 0]
        begins_T = torch.diff(position_T, prepend=position_T[:1]) > 1
        return cls(begins_T.cumsum(0), position_T)

    def discounts(self, gamma: float, lam: float, compat: Compat) -> tuple[list[float], list[float]]:
        """The factor of the next token's value and that of its advantage, for each token. Nothing follows the last."""
        if compat == "paper":
            passes = [*(self.step_T.diff() > 0).tolist(), True]
            return [gamma if p else 1.0 for p in passes], [gamma * lam if p else 1.0 for p in passes]
        # Between two responses the estimate runs over the environment's tokens, where value and reward are 0.
        decay = gamma * lam
        ahead = [*self.position_T.diff().tolist(), 1]
        return [gamma * decay ** (n - 1) for n in ahead], [decay**n for n in ahead]
