"""A ranking score that trusts a prediction the less, the farther off the rating may be.

ranking score = prediction - z deviation
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.factors import Factors
from model.ranking.damping import damped


def lower_bound(factors: Factors, z: float) -> Factors:
    """`Factors` whose score is the lower bound; the deviation becomes further columns.

    The popular movies keep their order: of users who are not known there is no deviation. Raises
    ValueError if the model knows none.
    """
    user_sd_US, movie_sd_MS = factors.user_sd_US, factors.movie_sd_MS
    if user_sd_US is None or movie_sd_MS is None:
        raise ValueError("the model does not say how far a rating may be from its prediction")
    return replace(
        factors,
        user_UK=np.column_stack([factors.user_UK, user_sd_US]),
        movie_MK=np.column_stack([factors.movie_MK, np.float32(-z) * movie_sd_MS]),
    )


def by_rating(factors: Factors, damping: float, z: float | None) -> Factors:
    """What movies are ranked by where predicted ratings order them: damped, or by lower bounds.

    Raises ValueError if the model cannot be.
    """
    return damped(factors, damping) if z is None else lower_bound(factors, z)
