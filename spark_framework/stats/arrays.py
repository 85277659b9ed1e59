"""What the statistics of a study share: arrays in which nan is a missing or undefined value."""

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


def divide(part: ArrayLike, whole: ArrayLike) -> Floats:
    """part / whole, nan where the whole is not positive. Shapes broadcast."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))
