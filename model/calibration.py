"""Whether ratings lie as far from their predictions as the model says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.metrics import rmse

# Of a normal distribution: within so many deviations lie so many percent.
Z = {50: 0.67449, 90: 1.64485}
DECILES = 10

Float = NDArray[np.float32]


class Decile(NamedTuple):
    """Of the ratings, a tenth by stated deviation."""

    ratings: int
    sd: float
    """Root of the mean variance that was stated."""
    rmse: float
    """What the errors were."""


def interval(
    predicted_P: Float, sd_P: Float, percent: int, scale: tuple[float, float]
) -> tuple[Float, Float]:
    """Where so many percent of ratings lie, on the scale; NaN where no deviation is known."""
    reach_P = np.float32(Z[percent]) * sd_P
    return (predicted_P - reach_P).clip(*scale), (predicted_P + reach_P).clip(*scale)


def shares_inside(predicted_P: Float, sd_P: Float, rating_P: Float) -> dict[int, float]:
    """The shares of ratings within each interval, by its percent, of those with a deviation.

    Empty if there is none.
    """
    known_P = ~np.isnan(sd_P)
    if not known_P.any():
        return {}
    distance_P = np.abs(rating_P - predicted_P)[known_P]
    return {
        percent: float(np.mean(distance_P <= np.float32(z) * sd_P[known_P]))
        for percent, z in Z.items()
    }


def deciles(predicted_P: Float, sd_P: Float, rating_P: Float) -> list[Decile]:
    """Tenths of the ratings with a deviation, the least one first; fewer if they are fewer."""
    order = np.argsort(sd_P, kind="stable")[: np.count_nonzero(~np.isnan(sd_P))]
    parts = [part for part in np.array_split(order, DECILES) if len(part)]
    return [
        Decile(len(part), rmse(sd_P[part], 0), rmse(predicted_P[part], rating_P[part]))
        for part in parts
    ]
