"""How likely a causal language model finds texts that follow one prefix. Plain tensor code."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

CHUNK = 256
"""Most tokens, padding included, in one forward pass over rows: it limits the memory for the logits."""


def mean_logprobs(model: Any, prefix: Sequence[int], rows: Sequence[Sequence[int]]) -> list[float]:
    """Mean log-probability of each row's tokens after the prefix, in nats a token.

    The prefix is read once. Rows are padded on the right: a causal model does not attend there, so a row's value
    does not depend on the other rows (up to rounding).

    Args:
        model: a transformers model for causal language modelling.
        prefix: at least two tokens.
        rows: none is empty.
    """
    import torch

    ids = torch.tensor([list(prefix[:-1])], device=model.device)
    read = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    means = [0.0] * len(rows)
    for chunk in _chunks(rows):
        width = max(len(rows[i]) for i in chunk)
        token_BT = torch.zeros(len(chunk), width + 1, dtype=torch.long)
        for r, i in enumerate(chunk):
            token_BT[r, : len(rows[i]) + 1] = torch.tensor([prefix[-1], *rows[i]])
        token_BT = token_BT.to(model.device)
        cache = copy.deepcopy(read)
        cache.batch_repeat_interleave(len(chunk))
        logits_BTV = model(input_ids=token_BT[:, :-1], past_key_values=cache, use_cache=True).logits.float()
        chosen_BT = logits_BTV.gather(-1, token_BT[:, 1:, None])[..., 0]
        logp_BT = chosen_BT - logits_BTV.logsumexp(-1)
        for r, i in enumerate(chunk):
            means[i] = float(logp_BT[r, : len(rows[i])].mean())
    return means


def without_middle(ids: Sequence[int], room: int) -> list[int]:
    """Tokens that fit into the room: of more, the first and the last are kept."""
    if len(ids) <= room:
        return list(ids)
    return [*ids[: room // 2], *ids[len(ids) - (room - room // 2) :]]


def _chunks(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Rows of similar length together."""
    chunk: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: len(rows[i])):
        if chunk and (len(chunk) + 1) * len(rows[i]) > CHUNK:
            yield chunk
            chunk = []
        chunk.append(i)
    yield chunk
