"""Errors of predicted ratings."""

import numpy as np
from numpy.typing import ArrayLike


def rmse(predicted_N: ArrayLike, rating_N: ArrayLike) -> float:
    """Root mean squared error, in rating points."""
    error_N = np.asarray(predicted_N, dtype=np.float64) - np.asarray(rating_N, dtype=np.float64)
    return float(np.sqrt(np.mean(error_N**2)))


def mae(predicted_N: ArrayLike, rating_N: ArrayLike) -> float:
    """Mean absolute error, in rating points."""
    error_N = np.asarray(predicted_N, dtype=np.float64) - np.asarray(rating_N, dtype=np.float64)
    return float(np.mean(np.abs(error_N)))
