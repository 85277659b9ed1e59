"""Log-probabilities of given candidates under a local policy: all candidates of a state at once, on one cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..records import Candidate
from .local import CachedRows, LocalEpisodeBatch

CHUNK = 256
"""Number of tokens whose logits are in memory at a time."""


def candidate_logprobs(
    batch: LocalEpisodeBatch, candidates: Sequence[Sequence[Candidate]]
) -> list[list[tuple[float, ...]]]:
    """The log-probability of each token of each candidate, in nats, in the format of `Candidate.token_logprobs`.

    Args:
        batch: open episodes; they are not changed.
        candidates: for each episode of the batch any number of candidates with token ids; any policy may have written
            them.
    """
    found: list[list[tuple[float, ...]]] = [[] for _ in candidates]
    for cached, rows in batch.cached_rows():
        jobs = [(i, row, candidate) for i, row in rows for candidate in candidates[i]]
        if jobs:
            scores = _logprobs(cached, [(row, candidate) for _, row, candidate in jobs])
            for (i, _, _), score in zip(jobs, scores, strict=True):
                found[i].append(score)
    return found


def _logprobs(cached: CachedRows, jobs: Sequence[tuple[int, Candidate]]) -> list[tuple[float, ...]]:
    """For each (row, candidate) the log-probabilities of the candidate's tokens."""
    import torch

    prefixes, names = cached.policy.renderer.prefixes, cached.policy.renderer.space.names
    labels = [prefixes[name].label for name in names]
    heads = cached.head_logprobs().tolist()
    branches = cached.branches([row for row, _ in jobs])
    before = branches.hidden
    states = branches.feed([candidate.token_ids for _, candidate in jobs])
    free = [candidate.token_ids[candidate.opening :] for _, candidate in jobs]
    # A token's distribution is read one token earlier: for the first token, in the row's own state.
    read_TH = torch.cat([
        torch.cat([before[k : k + 1], states[k]])[candidate.opening : -1] for k, (_, candidate) in enumerate(jobs)
    ])  # fmt: skip
    token_T = torch.tensor([token for ids in free for token in ids], device=cached.device)
    values = iter(_token_logprobs(cached.head, read_TH, token_T))
    scores = []
    for (row, candidate), ids in zip(jobs, free, strict=True):
        body = [next(values) for _ in ids]
        fixed = [0.0] * candidate.opening
        if candidate.opening:
            fixed[0] = heads[row][labels.index(candidate.token_ids[0])]
        scores.append((*fixed, *body))
    return scores


def _token_logprobs(head: Any, hidden_TH: Any, token_T: Any) -> list[float]:
    """log pi of each token in the state before it."""
    import torch

    values: list[float] = []
    for hidden, token in zip(hidden_TH.split(CHUNK), token_T.split(CHUNK), strict=True):
        logits = torch.nn.functional.linear(hidden, head.weight).float()
        values += (logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
    return values
