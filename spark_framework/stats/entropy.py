"""Entropy of a mix of actions, and the divergence between two mixes.

Shapes (docs/explanation/notation.md): A actions, G groups, X any leading axes (such as resamples). Weights are
counts or probabilities; they need not sum to 1. An undefined value is nan, never 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, divide


def entropy(weights_XA: ArrayLike) -> Floats:
    """Entropy in bits along the last axis, -Σ p log2 p (Shannon, 1948); nan where no weight is above zero."""
    p_XA = _normalised(weights_XA)
    logs_XA = np.log2(p_XA, out=np.zeros_like(p_XA), where=p_XA > 0)
    bits_X = np.abs((p_XA * logs_XA).sum(axis=-1))
    return np.asarray(bits_X if p_XA.shape[-1] else bits_X + np.nan)  # the sum over no actions is 0


def jensen_shannon(p_XA: ArrayLike, q_XA: ArrayLike) -> Floats:
    """Jensen-Shannon divergence in bits along the last axis, H((p + q) / 2) - (H(p) + H(q)) / 2 (Lin, 1991).

    0 for equal distributions, 1 for disjoint ones, both normalised first; nan where one of them is all zero.
    """
    p_XA, q_XA = _normalised(p_XA), _normalised(q_XA)
    divergence_X = entropy(p_XA + q_XA) - (entropy(p_XA) + entropy(q_XA)) / 2
    return np.asarray(np.maximum(divergence_X, 0.0))  # a difference of entropies can be -1e-16


def conditional_jensen_shannon(p_XGA: ArrayLike, q_XGA: ArrayLike, sizes_XG: ArrayLike) -> Floats:
    """Jensen-Shannon divergence in bits within groups (category, step), averaged with the groups' sizes as weights.

    Rarity-first evens out the marginal mix under any judge; what a judge changes shows within the groups. A group in
    which one side has no weight is left out with its size; nan where none is left.
    """
    divergence_XG = jensen_shannon(p_XGA, q_XGA)
    defined_XG = ~np.isnan(divergence_XG)
    sizes_XG = np.where(defined_XG, np.asarray(sizes_XG, dtype=np.float64), 0.0)
    return divide((np.where(defined_XG, divergence_XG, 0.0) * sizes_XG).sum(axis=-1), sizes_XG.sum(axis=-1))


def _normalised(weights_XA: ArrayLike) -> Floats:
    """Rows that sum to 1; nan where a row is all zero or nan."""
    weights_XA = np.asarray(weights_XA, dtype=np.float64)
    if (weights_XA < 0).any() or np.isinf(weights_XA).any():
        raise ValueError("counts and probabilities are finite and not negative")
    return divide(weights_XA, weights_XA.sum(axis=-1, keepdims=True))
