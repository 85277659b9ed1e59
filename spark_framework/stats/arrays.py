"""Array helpers of the statistics. In all arrays nan is a missing or undefined value."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def shared(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Two judges' scores with nan wherever one of them is missing: pairwise deletion. Shapes must be equal."""
    a, b = np.array(a, dtype=np.float64), np.array(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"scores of shape {a.shape} against {b.shape}: two judges score the same candidates")
    a[np.isnan(b)] = np.nan
    b[np.isnan(a)] = np.nan
    return a, b


def divide(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """numerator / denominator, nan where the denominator is not positive. Shapes broadcast."""
    a, b = np.broadcast_arrays(np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64))
    return np.asarray(np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0))
