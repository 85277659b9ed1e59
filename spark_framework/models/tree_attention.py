"""Attention over a token tree: rows that share a prefix, and branches, in one sequence without a full mask.

The tree is split into segments, runs of tokens without a branch. Each segment's queries attend to the keys of its
ancestor segments and, causally, to its own, so only pairs that attend are computed. A plain row is one segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "spark_segments"
LONGEST = {"cpu": 128, "gpu": 512}
"""Maximum number of tokens of a segment that has ancestors, by kind of device. Longer segments waste work, since half
of their own query-key pairs are masked; shorter ones need more calls."""
Span = tuple[int, int]
"""Begin and end (exclusive) of consecutive tokens."""


@dataclass
class Segment:
    """A run of tokens, and the spans of its ancestors, in order of their tokens."""

    begin: int
    end: int
    before: tuple[Span, ...]
    masks: dict[int | None, Tensor] = field(default_factory=dict)
    """By sliding window: the additive mask [queries, keys], if one is needed."""

    def mask(self, window: int | None, like: Tensor) -> Tensor | None:
        """The additive mask [queries, keys] for a sliding window; None if every query sees all keys up to its own."""
        past, size = sum(end - begin for begin, end in self.before), self.end - self.begin
        if window is not None and past + size <= window:
            window = None
        if window is None and not past:
            return None
        if window not in self.masks:
            key_K = torch.arange(past + size, device=like.device)
            distance_QK = key_K[past:, None] - key_K
            seen_QK = (distance_QK >= 0) & (distance_QK < (window or len(key_K)))
            added_QK = torch.zeros(seen_QK.shape, dtype=like.dtype, device=like.device)
            self.masks[window] = added_QK.masked_fill(~seen_QK, torch.finfo(like.dtype).min)
        return self.masks[window]


def device_kind(device: torch.device | str) -> str:
    """`cpu`, or `gpu` for every other device: the key of settings that depend on the device."""
    return "cpu" if torch.device(device).type == "cpu" else "gpu"


def segments(parents: Sequence[int], device: torch.device | str) -> list[Segment]:
    """The segments of a tree, in order of their tokens; long ones that have ancestors are split.

    Args:
        parents: for each token the index of its parent, -1 for none; a parent comes before its children.
        device: where the model is.
    """
    jumps = {i: parent for i, parent in enumerate(parents) if parent != i - 1 or i == 0}
    cuts = sorted({*jumps, *(parent + 1 for parent in jumps.values()), len(parents)})
    found: list[Segment] = []
    paths: dict[int, tuple[Span, ...]] = {0: ()}
    """All tokens up to a token that ends a run, by the index after it."""
    for begin, end in pairwise(cuts):
        before = paths[parents[begin] + 1]
        size = LONGEST[device_kind(device)] if before else end - begin
        found += [Segment(at, min(at + size, end), _append_span(before, begin, at)) for at in range(begin, end, size)]
        paths[end] = _append_span(before, begin, end)
    return found


def _append_span(spans: tuple[Span, ...], begin: int, end: int) -> tuple[Span, ...]:
    """Append a span, which may be empty, or adjacent to the last one."""
    if begin == end:
        return spans
    if spans and spans[-1][1] == begin:
        return (*spans[:-1], (spans[-1][0], end))
    return (*spans, (begin, end))


def enable_tree_attention(model: Any) -> None:
    """Make a transformers model attend over token trees: its trunk takes `segments` instead of a mask."""
    AttentionInterface.register(NAME, _attention)
    model.set_attn_implementation(NAME)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    segments: Sequence[Segment], sliding_window: int | None = None, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Scaled dot-product attention, segment by segment. [1, heads, N, width] each; gives [1, N, heads, width]."""
    found = []
    for one in segments:
        spans = [*one.before, (one.begin, one.end)]
        keys, values = (torch.cat([tensor[:, :, a:b] for a, b in spans], 2) for tensor in (key, value))
        mask = one.mask(sliding_window, query)
        out, _ = sdpa_attention_forward(
            module, query[:, :, one.begin : one.end], keys, values, None if mask is None else mask[None, None], **kwargs
        )
        found.append(out)
    return (found[0] if len(found) == 1 else torch.cat(found, 1)), None
