"""Attention masks for token trees: each token sees its ancestors, and in layers with a sliding window only the nearest
of them."""

from __future__ import annotations

from typing import Any


def layer_masks(config: Any, seen_BQK: Any, distance_BQK: Any, dtype: Any) -> Any:
    """A model's `attention_mask`, added to the attention scores: [batch, 1, Q, K]; one for each kind of layer where
    layers differ.

    Args:
        config: of the model.
        seen_BQK: bool, whether a key is an ancestor of a query, or the query's own token.
        distance_BQK: how many tokens the key is before the query, for visible keys.
        dtype: of the scores.
    """
    window = getattr(config, "sliding_window", None)
    full = _added(seen_BQK, dtype)
    if window is None:
        return full
    near = _added(seen_BQK & (distance_BQK < window), dtype)
    return {"full_attention": full, "sliding_attention": near} if getattr(config, "layer_types", None) else near


def _added(seen_BQK: Any, dtype: Any) -> Any:
    import torch

    hidden = torch.zeros(seen_BQK.shape, dtype=dtype, device=seen_BQK.device)
    return hidden.masked_fill(~seen_BQK, torch.finfo(dtype).min)[:, None]
