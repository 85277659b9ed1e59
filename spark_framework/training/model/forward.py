"""Reading rows with the agent, as many at a time as a forward pass takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from torch import Tensor

from ...models.tree_attention import device_kind
from ..algorithms.losses import LogProbs
from ..data.packing import ALIKE, TOKENS, joined, packs
from ..data.token_tree import Row
from ..distributed import by_all, idle_passes
from .actor_critic import ActorCritic
from .critic import Critic

T = TypeVar("T")


class Reader:
    """Reads rows by their indices.

    Args:
        budget: tokens of a forward pass; None is 4096 on a GPU and 2048 on a CPU.
        sharded: layers are gathered from all processes whenever one of them reads.
    """

    def __init__(self, agent: ActorCritic, rows: Sequence[Row], budget: int | None, *, sharded: bool = False) -> None:
        self.agent, self.rows, self.sharded = agent, rows, sharded
        device = device_kind(agent.model.device)
        self.budget, self.alike = budget or TOKENS[device], ALIKE[device]

    def packs_of(self, indices: Sequence[int]) -> list[list[int]]:
        """The rows that share a forward pass."""
        together = packs([self.rows[i] for i in indices], self.budget, self.alike)
        return [[indices[k] for k in pack] for pack in together]

    def pack(self, indices: Sequence[int]) -> tuple[list[LogProbs], list[Tensor]]:
        """Log-probabilities and last hidden states [N, width] of some rows, in one forward pass of the actor."""
        rows = [self.rows[i] for i in indices]
        whole, places = joined(rows)
        hidden_NH = self.agent.hidden(whole)
        return self.agent.log_probs(hidden_NH, whole).split(rows), [hidden_NH[at] for at in places]

    def each(
        self, indices: Sequence[int], what: Callable[[int, LogProbs, Tensor], tuple[Tensor, ...]]
    ) -> list[tuple[Tensor, ...]]:
        """What a function of a row's index, log-probabilities and hidden states gives for any number of rows."""
        return self._shared_out(indices, lambda pack: [what(*one) for one in zip(pack, *self.pack(pack), strict=True)])

    def all(self, indices: Sequence[int]) -> tuple[list[LogProbs], list[Tensor]]:
        """Log-probabilities and states [D, width] of any number of rows."""

        def parts(index: int, logp: LogProbs, hidden_NH: Tensor) -> tuple[Tensor, ...]:
            return logp.action_D, logp.token_T, logp.head_DA, self.agent.states(hidden_NH, self.rows[index])

        found = self.each(indices, parts)
        return [LogProbs(*one[:3]) for one in found], [one[3] for one in found]

    def values(self, critic: Critic) -> list[Tensor]:
        """V of every row, by a critic that reads rows itself."""
        with self.agent.as_critic():
            return self._shared_out(range(len(self.rows)), critic.read)

    def _shared_out(self, indices: Sequence[int], read: Callable[[list[int]], Sequence[T]]) -> list[T]:
        """What `read` gives for each row of a pass, for any number of rows; several processes share them out."""

        def compute(mine: list[int]) -> list[T]:
            found: dict[int, T] = {}
            for pack in self.packs_of(mine):
                found.update(zip(pack, read(pack), strict=True))
            list(self.idle(indices))
            return [found[index] for index in mine]

        return by_all(indices, compute, self.agent.model.device)

    def idle(self, indices: Sequence[int]) -> Iterator[Tensor]:
        """Passes that gather sharded layers as often as other processes do on their shares of some rows, for nothing:
        the hidden states of each."""
        if self.sharded:
            for _ in range(idle_passes(self.packs_of, indices)):
                yield self.agent.hidden(self.rows[indices[0]])
