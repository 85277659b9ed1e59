"""Whether a judge favours places in its prompt.

Shapes (docs/explanation/notation.md): S states, R orders, C candidates, X any leading axes (such as resamples).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Floats, divide


def position_terms(scores_SRC: ArrayLike, places_SRC: ArrayLike) -> Floats:
    """The two sums of the position slope in each state, shape (S, 2): place·score and place·place.

    Args:
        scores_SRC: the same candidates of the same state, scored in R random orders; nan where a verdict is missing.
        places_SRC: the place at which each candidate was shown, of the same shape.

    Score and place are taken as differences from the candidate's own mean over the orders, so that what a candidate is
    worth drops out. The places of an order always have the same sum, so a judge's leniency in one order drops out, too.
    """
    scores_SRC, places_SRC = np.asarray(scores_SRC, dtype=np.float64), np.asarray(places_SRC, dtype=np.float64)
    if scores_SRC.shape != places_SRC.shape:
        raise ValueError(f"scores of shape {scores_SRC.shape} but places of shape {places_SRC.shape}")
    known_SRC = ~np.isnan(scores_SRC)
    times_S1C = np.maximum(known_SRC.sum(axis=1, keepdims=True), 1)

    def within(values_SRC: Floats) -> Floats:
        values_SRC = np.where(known_SRC, values_SRC, 0.0)
        return np.where(known_SRC, values_SRC - values_SRC.sum(axis=1, keepdims=True) / times_S1C, 0.0)

    score_SRC, place_SRC = within(scores_SRC), within(places_SRC)
    return np.stack([(place_SRC * score_SRC).sum(axis=(1, 2)), (place_SRC**2).sum(axis=(1, 2))], axis=1)


def position_slope(terms_X2: ArrayLike) -> Floats:
    """Points a candidate gains for each place further down: the within-candidate least-squares slope (Mundlak, 1978).

    Takes the sums of `position_terms` over states, so that it is a statistic for `bootstrap_sums`. nan where no
    candidate was seen at two places.
    """
    terms_X2 = np.asarray(terms_X2, dtype=np.float64)
    return divide(terms_X2[..., 0], terms_X2[..., 1])
