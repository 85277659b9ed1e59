"""Branches: many continuations of a few states at once, on one copy of each state's key-value cache.

A row of the batch is a token tree, as in training: the state is its trunk, followed by the tokens of all its branches
side by side. A mask lets each token see the trunk and its own branch. So nine candidates of a state cost nine new
tokens a step, not nine copies of the cache.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from .tree_masks import layer_masks

COMPACT_BELOW = 0.75
"""Rows are dropped as soon as fewer than this share still have a branch that grows."""
NO_BRANCH = -1
"""Owner of padding."""


class Branches:
    """Branches that grow from the states of a batch; the states stay as they are.

    Args:
        model: the model without its output matrix.
        cache: keys and values of the states, one row each.
        mask_BK: which of a row's cached tokens are real.
        hidden_BH: the last hidden state of each row.
        rows: for each branch the row that it grows from.
    """

    def __init__(self, model: Any, cache: Any, mask_BK: Any, hidden_BH: Any, rows: Sequence[int]) -> None:
        import torch

        self.model, self.device = model, mask_BK.device
        self._cache = copy.copy(cache)
        self._cache.layers = [
            copy.copy(layer) for layer in cache.layers
        ]  # a layer grows by new tensors: none is copied
        self._state_BK = mask_BK.bool()
        self._owner_BK = torch.empty(len(mask_BK), 0, dtype=torch.long, device=self.device)
        self._position_BK = mask_BK.cumsum(1) - 1
        self._row_W = torch.tensor(rows, dtype=torch.long, device=self.device)
        self._next = mask_BK.sum(1)[self._row_W].tolist()
        self.hidden = hidden_BH[self._row_W]
        """[branches, width]: the state after each branch's last token."""
        self._drop_rows(range(len(rows)), below=1.0)

    def feed(self, tokens: Sequence[Sequence[int]]) -> list[Any]:
        """Append tokens to every branch. A branch that gets none is finished.

        Returns:
            For each branch the hidden states [tokens, width] of what was appended.
        """
        import torch

        growing = [branch for branch, ids in enumerate(tokens) if ids]
        self._drop_rows(growing, below=COMPACT_BELOW)
        rows = self._row_W.tolist()
        slots: list[list[tuple[int, int, int]]] = [[] for _ in self._state_BK]  # of a row: owner, token, position
        starts = []
        for branch, ids in enumerate(tokens):
            starts.append(len(slots[rows[branch]]))
            slots[rows[branch]] += [(branch, token, self._next[branch] + k) for k, token in enumerate(ids)]
            self._next[branch] += len(ids)
        width = max(map(len, slots))
        padded = [[*row, *[(NO_BRANCH, 0, 0)] * (width - len(row))] for row in slots]
        owner_BQ, ids_BQ, position_BQ = torch.tensor(padded, device=self.device).unbind(-1)
        self._owner_BK = torch.cat([self._owner_BK, owner_BQ], 1)
        self._position_BK = torch.cat([self._position_BK, position_BQ], 1)
        own_BQK = owner_BQ[:, :, None] == self._owner_BK[:, None]
        own_BQK = own_BQK.tril(self._owner_BK.shape[1] - width)  # among the new tokens: none looks ahead
        seen_BQK = torch.cat([self._state_BK[:, None].expand(-1, width, -1), own_BQK], -1)
        distance_BQK = position_BQ[:, :, None] - self._position_BK[:, None]
        with torch.no_grad():
            hidden_BQH = self.model(
                input_ids=ids_BQ, position_ids=position_BQ,
                attention_mask=layer_masks(self.model.config, seen_BQK, distance_BQK, self.model.dtype),
                past_key_values=self._cache, use_cache=True,
            ).last_hidden_state  # fmt: skip
        new = [hidden_BQH[rows[b], starts[b] : starts[b] + len(ids)] for b, ids in enumerate(tokens)]
        self.hidden = self.hidden.index_copy(
            0, torch.tensor(growing, device=self.device), torch.stack([new[branch][-1] for branch in growing])
        )
        return new

    def _drop_rows(self, growing: Sequence[int], below: float) -> None:
        """Drop rows without a growing branch, once few enough are left to make it worthwhile."""
        import torch

        left = self._row_W[list(growing)].unique()  # sorted
        if len(left) >= below * len(self._state_BK):
            return
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys.index_select(0, left), layer.values.index_select(0, left)
        self._state_BK, self._owner_BK = self._state_BK[left], self._owner_BK[left]
        self._position_BK = self._position_BK[left]
        # Branches of dropped rows are finished, so their row index is not used any more.
        self._row_W = torch.searchsorted(left, self._row_W).clamp(max=len(left) - 1)
