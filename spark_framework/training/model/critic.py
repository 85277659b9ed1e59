"""The value function V(s) of a step: a head on the hidden state of the last token before an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...config.training import CriticSection
from ..algorithms import losses
from ..data.packing import joined, to_last_state
from ..data.token_tree import Row

if TYPE_CHECKING:
    from .actor_critic import ActorCritic


class ValueHead(nn.Module):
    """V(s): an MLP on a hidden state, in single precision. Its last layer starts at zero, so V starts at 0.
    [D, width] -> [D]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, state_DH: Tensor) -> Tensor:
        value: Tensor = self.outer(torch.tanh(self.inner(self.norm(state_DH.to(self.inner.weight.dtype)))))[:, 0]
        return value


class Critic:
    """V of the decisions of rows.

    Kind `separate` reads the rows itself, with its own adapter and up to their last states. The others put the head on
    states that are there already: those of the actor's pass (`shared`, `detached`) or of the stage's first policy
    (`frozen_features`).
    """

    def __init__(self, agent: ActorCritic, rows: Sequence[Row], section: CriticSection) -> None:
        assert agent.value_head is not None
        self.agent, self.head, self.section = agent, agent.value_head, section
        self.reads_rows = section.kind == "separate"
        self.rows = [to_last_state(row) for row in rows] if self.reads_rows else list(rows)
        self.features: list[Tensor] = []
        """[D, width] of each row: the first policy's states. Not needed where the critic reads rows."""

    def read(self, indices: Sequence[int]) -> list[Tensor]:
        """separate: V of some rows in one forward pass, inside `ActorCritic.as_critic`."""
        row, _ = joined([self.rows[i] for i in indices])
        value_D = self.head(self.agent.states(self.agent.hidden(row), row))
        return list(value_D.split([len(self.rows[i].decisions) for i in indices]))

    def of_states(self, index: int, state_DH: Tensor) -> Tensor:
        """The other kinds: V of a row, given the actor's states."""
        if self.section.kind == "frozen_features":
            state_DH = self.features[index]
        elif self.section.kind == "detached":
            state_DH = state_DH.detach()
        value_D: Tensor = self.head(state_DH)
        return value_D

    def loss(self, index: int, value_D: Tensor) -> Tensor:
        """Squared error against the rewards of a row, times its weight in the config."""
        decisions = self.rows[index].decisions
        reward_D = value_D.new_tensor([d.reward for d in decisions])
        weight_D = value_D.new_tensor([d.weight for d in decisions])
        return self.section.coef * losses.value_loss(value_D, reward_D, weight_D)

    def warm_up(self, seed: int) -> None:
        """Passes over the stored rewards before V_old is read, a row at a time. The actor stays as it is."""
        optimizer = torch.optim.AdamW(self.agent.critic_parameters(), lr=self.section.lr, weight_decay=0.0)
        order = torch.Generator().manual_seed(seed)
        with torch.enable_grad():
            for _ in range(self.section.warmup_epochs):
                for index in torch.randperm(len(self.rows), generator=order).tolist():
                    if self.reads_rows:
                        with self.agent.as_critic():
                            self.loss(index, self.read([index])[0]).backward()
                    else:
                        self.loss(index, self.head(self.features[index])).backward()
                    optimizer.step()
                    optimizer.zero_grad()
