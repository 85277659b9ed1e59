"""Reads rows with the agent, in batches that fit one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from torch import Tensor

from ...models.tree_attention import device_kind
from ...util.collectives import dummy_passes, sharded_map
from ..data.packing import MIN_SHARED_PREFIX, TOKENS, plan_batches
from ..data.tensors import LogProbs, PassInputs
from ..data.token_tree import TokenTree
from .actor_critic import ActorCritic
from .critic import Critic

T = TypeVar("T")


class BatchedForward:
    """Reads rows by their indices.

    Args:
        budget: tokens of a forward pass; None is 4096 on a GPU and 2048 on a CPU.
        sharded: layers are gathered from all processes for every forward pass.
    """

    def __init__(
        self, agent: ActorCritic, rows: Sequence[TokenTree], budget: int | None, *, sharded: bool = False
    ) -> None:
        self.agent, self.rows, self.sharded = agent, rows, sharded
        device = device_kind(agent.model.device)
        self.budget, self.min_shared = budget or TOKENS[device], MIN_SHARED_PREFIX[device]

    def batches_of(self, indices: Sequence[int]) -> list[list[int]]:
        """The indices of the rows of each forward pass."""
        together = plan_batches([self.rows[i] for i in indices], self.budget, self.min_shared)
        return [[indices[k] for k in batch] for batch in together]

    def inputs(self, indices: Sequence[int]) -> PassInputs:
        """The inputs of one forward pass over some rows."""
        return self.agent.inputs(indices, [self.rows[i] for i in indices])

    def read(self, inputs: PassInputs) -> tuple[list[LogProbs], list[Tensor]]:
        """Log-probabilities and last hidden states [N, width] of each row of a pass of the actor."""
        hidden_NH = self.agent.forward(inputs)
        return self.agent.log_probs(hidden_NH, inputs), [hidden_NH[at] for at in inputs.places]

    def each(
        self, indices: Sequence[int], what: Callable[[int, LogProbs, Tensor], tuple[Tensor, ...]]
    ) -> list[tuple[Tensor, ...]]:
        """Call `what` with each row's index, log-probabilities and hidden states [N, width]; returns its values."""

        def read(batch: list[int]) -> list[tuple[Tensor, ...]]:
            return [what(*one) for one in zip(batch, *self.read(self.inputs(batch)), strict=True)]

        return self._sharded(indices, read)

    def all(self, indices: Sequence[int]) -> tuple[list[LogProbs], list[Tensor]]:
        """Log-probabilities and states [D, width] of each row."""

        def parts(index: int, logp: LogProbs, hidden_NH: Tensor) -> tuple[Tensor, ...]:
            state_D = [d.state_position for d in self.rows[index].decisions]
            return logp.action_D, logp.token_T, logp.head_DA, hidden_NH[state_D]

        found = self.each(indices, parts)
        return [LogProbs(*one[:3]) for one in found], [one[3] for one in found]

    def values(self, critic: Critic) -> list[Tensor]:
        """V of every row [D], from a critic that reads rows itself."""
        with self.agent.as_critic():
            return self._sharded(range(len(self.rows)), lambda batch: self.agent.values(critic.inputs(batch)))

    def _sharded(self, indices: Sequence[int], read: Callable[[list[int]], Sequence[T]]) -> list[T]:
        """Call `read` for each pass and return its value for each row; the processes share the rows."""

        def compute(mine: list[int]) -> list[T]:
            found: dict[int, T] = {}
            for batch in self.batches_of(mine):
                found.update(zip(batch, read(batch), strict=True))
            list(self.dummy_passes(indices))
            return [found[index] for index in mine]

        return sharded_map(indices, compute, self.agent.model.device)

    def dummy_passes(self, indices: Sequence[int]) -> Iterator[Tensor]:
        """Extra forward passes, so that this process gathers sharded layers as often as the others do for their shares
        of the rows. Yields their hidden states, which are not used."""
        if self.sharded:
            for _ in range(dummy_passes(self.batches_of, indices)):
                yield self.agent.forward(self.inputs(indices[:1]))
