"""The value function V(s) of a step: a head on the hidden state of the last token before an action."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...contracts.stage import CriticConfig
from ..algorithms.spark import value_loss
from ..data.packing import truncate_to_states
from ..data.tensors import PassInputs, TreeTensors
from ..data.token_tree import TokenTree
from .actor_critic import ActorCritic


class Critic:
    """Computes V for the decisions of rows.

    Kind `separate` reads the rows itself, with its own adapter and up to their last states. The other kinds put the
    head on existing states: those of the actor's pass (`shared`, `detached`) or of the stage's first policy
    (`frozen_features`).
    """

    def __init__(self, agent: ActorCritic, rows: Sequence[TokenTree], section: CriticConfig) -> None:
        assert agent.value_head is not None
        self.agent, self.head, self.section = agent, agent.value_head, section
        self.reads_rows = section.kind == "separate"
        self.rows = [truncate_to_states(row) for row in rows] if self.reads_rows else list(rows)
        self.features: list[Tensor] = []
        """[D, width] of each row: the first policy's states. Not needed if the critic reads rows."""

    def inputs(self, indices: Sequence[int]) -> PassInputs:
        """Kind `separate`: the inputs of `ActorCritic.values` for some rows, in one forward pass."""
        return self.agent.inputs(indices, [self.rows[i] for i in indices])

    def of_states(self, index: int, state_DH: Tensor) -> Tensor:
        """The other kinds: V of a row [D], given the actor's states [D, width]."""
        if self.section.kind == "frozen_features":
            state_DH = self.features[index]
        elif self.section.kind == "detached":
            state_DH = state_DH.detach()
        value_D: Tensor = self.head(state_DH)
        return value_D

    def warm_up(self, seed: int) -> None:
        """Train the critic on the stored rewards before V_old is computed, one row at a time. The actor is not
        changed."""
        optimizer = torch.optim.AdamW(self.agent.critic_parameters(), lr=self.section.lr, weight_decay=0.0)
        order = torch.Generator().manual_seed(seed)
        with torch.enable_grad():
            for _ in range(self.section.warmup_epochs):
                for index in torch.randperm(len(self.rows), generator=order).tolist():
                    if self.reads_rows:
                        with self.agent.as_critic():
                            self._learn(index, self.agent.values(self.inputs([index]))[0])
                    else:
                        self._learn(index, self.head(self.features[index]))
                    optimizer.step()
                    optimizer.zero_grad()

    def _learn(self, index: int, value_D: Tensor) -> None:
        row = TreeTensors.of(self.rows[index], value_D.device, self.agent.precision)
        (self.section.coef * value_loss(value_D, row.reward_D, row.weight_D)).backward()
