"""Reading rows with the agent, as many at a time as a forward pass takes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .critic import Critic
from .losses import LogProbs
from .model import ActorCritic
from .packing import joined, packs
from .rows import Row


class Reader:
    """Reads rows by their indices.

    Args:
        budget: tokens of a forward pass; None is one row at a time.
    """

    def __init__(self, agent: ActorCritic, rows: Sequence[Row], budget: int | None) -> None:
        self.agent, self.rows, self.budget = agent, rows, budget

    def packs_of(self, indices: Sequence[int]) -> list[list[int]]:
        """The rows that share a forward pass."""
        return [[indices[k] for k in pack] for pack in packs([len(self.rows[i].ids) for i in indices], self.budget)]

    def pack(self, indices: Sequence[int]) -> tuple[list[LogProbs], list[Tensor]]:
        """Log-probabilities and states [D, width] of some rows, in one forward pass of the actor."""
        rows = [self.rows[i] for i in indices]
        whole = joined(rows)
        hidden_NH = self.agent.hidden(whole)
        states = self.agent.states(hidden_NH, whole).split([len(row.decisions) for row in rows])
        return self.agent.log_probs(hidden_NH, whole).split(rows), list(states)

    def all(self, indices: Sequence[int]) -> tuple[list[LogProbs], list[Tensor]]:
        """The same for any number of rows."""
        found: dict[int, tuple[LogProbs, Tensor]] = {}
        for pack in self.packs_of(indices):
            found.update(zip(pack, zip(*self.pack(pack), strict=True), strict=True))
        return [found[i][0] for i in indices], [found[i][1] for i in indices]

    def values(self, critic: Critic) -> list[Tensor]:
        """V of every row, by a critic that reads rows itself."""
        found: dict[int, Tensor] = {}
        with self.agent.as_critic():
            for pack in self.packs_of(range(len(self.rows))):
                found.update(zip(pack, critic.read(pack), strict=True))
        return [found[i] for i in range(len(self.rows))]
