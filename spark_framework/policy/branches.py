"""Branches: many continuations of a few states at once, on one copy of each state's key-value cache.

A row of the batch is a token tree, as in training: the state is its trunk, and the tokens of all its branches stand side by
side behind it. A mask lets each token see the trunk and its own branch. So nine candidates of a state cost nine new tokens a
step, not nine copies of the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NOBODY = -1
"""Owner of padding. Padding sees padding, so that no row of the mask is empty."""


class Branches:
    """Branches that grow from the states of a batch. Uses nothing up: the states stay as they are.

    Args:
        trunk: the model without its output matrix.
        cache: keys and values of the states, one row each.
        mask_RK: which of a row's cached tokens are real.
        hidden_RH: the last hidden state of each row.
        rows: for each branch the row it grows from.
    """

    def __init__(self, trunk: Any, cache: Any, mask_RK: Any, hidden_RH: Any, rows: Sequence[int]) -> None:
        import torch

        self.trunk, self.device = trunk, mask_RK.device
        used = sorted(set(rows))
        whole = len(used) == len(mask_RK)
        index = torch.tensor(used, dtype=torch.long, device=self.device)
        self._cache = copied(cache, None if whole else index)
        self._state_RK = (mask_RK if whole else mask_RK[index]).bool()
        self._owner_RK = torch.full_like(self._state_RK, NOBODY, dtype=torch.long)[:, :0]
        self._row = [used.index(row) for row in rows]
        self._next = self._state_RK.sum(1)[torch.tensor(self._row, device=self.device)].tolist()
        self.hidden = hidden_RH[torch.tensor(list(rows), device=self.device)]
        """[branches, width]: the state after each branch's last token."""

    def feed(self, tokens: Sequence[Sequence[int]]) -> list[Any]:
        """Append tokens to every branch (none: it rests). Returns for each branch its tokens' hidden states [T, width]."""
        import torch

        slots: list[list[tuple[int, int, int]]] = [[] for _ in self._state_RK]  # of a row: branch, token, position
        place = []
        for branch, (row, ids) in enumerate(zip(self._row, tokens, strict=True)):
            place.append(len(slots[row]))
            slots[row] += [(branch, token, self._next[branch] + k) for k, token in enumerate(ids)]
            self._next[branch] += len(ids)
        width = max(map(len, slots))
        padded = [[*row, *[(NOBODY, 0, 0)] * (width - len(row))] for row in slots]
        owner_RQ, ids_RQ, position_RQ = torch.tensor(padded, device=self.device).unbind(-1)
        seen_RQQ = (owner_RQ[:, :, None] == owner_RQ[:, None]).tril()
        earlier_RQK = owner_RQ[:, :, None] == self._owner_RK[:, None]
        state_RQK = self._state_RK[:, None].expand(-1, width, -1)
        out = self.trunk(
            input_ids=ids_RQ, position_ids=position_RQ, past_key_values=self._cache, use_cache=True,
            attention_mask=torch.cat([state_RQK, earlier_RQK, seen_RQQ], -1)[:, None],
        )  # fmt: skip
        self._owner_RK = torch.cat([self._owner_RK, owner_RQ], 1)
        states = [
            out.last_hidden_state[row, at : at + len(ids)]
            for row, at, ids in zip(self._row, place, tokens, strict=True)
        ]
        fed = [branch for branch, ids in enumerate(tokens) if ids]
        self.hidden[fed] = torch.stack([states[branch][-1] for branch in fed])
        return states


def copied(cache: Any, index: Any = None) -> Any:
    """A cache that can grow apart from the first one: of all its rows (shared, not copied) or of those in the index."""
    from transformers import DynamicCache

    fresh = DynamicCache()
    for number, layer in enumerate(cache.layers):
        keys, values = layer.keys, layer.values
        if index is not None:
            keys, values = keys.index_select(0, index), values.index_select(0, index)
        fresh.update(keys, values, number)
    return fresh
