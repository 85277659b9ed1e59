"""Helpers of the selectors: which candidates are eligible, and how ties are broken."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any


def eligible(scores: Sequence[float], threshold: float) -> list[int]:
    """Indices of the viable candidates (score above the threshold); where none is viable, of the best-scoring ones."""
    viable = [k for k, score in enumerate(scores) if score > threshold]
    return viable or [k for k, score in enumerate(scores) if score == max(scores)]


def first_by(indices: Sequence[int], key: Callable[[int], Any], rng: random.Random) -> int:
    """The index with the lowest key; a seeded draw breaks ties."""
    lowest = min(map(key, indices))
    return rng.choice([k for k in indices if key(k) == lowest])
