"""The predictions that any model must beat: the mean rating, and the mean plus two biases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BiasBaseline:
    """rating = mean + user_bias + movie_bias; biases of unrated users and movies are zero."""

    mean: float
    user_bias_U: NDArray[np.float64]
    movie_bias_M: NDArray[np.float64]

    def predict(self, user_N: NDArray[np.int32], movie_N: NDArray[np.int32]) -> NDArray[np.float64]:
        """Ratings of N pairs, not clipped."""
        return self.mean + self.user_bias_U[user_N] + self.movie_bias_M[movie_N]


def fit_bias_baseline(
    user_N: NDArray[np.int32],
    movie_N: NDArray[np.int32],
    rating_N: NDArray[np.float32],
    users: int,
    movies: int,
    sweeps: int = 10,
    movie_damping: float = 10.0,
    user_damping: float = 15.0,
) -> BiasBaseline:
    """Alternating least squares for the biases.

    Source: Koren, "Factor in the Neighbors" (2010), section 2.1; sweeps and damping are those of
    Surprise's BaselineOnly.
    """
    mean = float(rating_N.mean(dtype=np.float64))
    user_count_U = np.bincount(user_N, minlength=users)
    movie_count_M = np.bincount(movie_N, minlength=movies)
    user_bias_U = np.zeros(users)
    movie_bias_M = np.zeros(movies)
    for _ in range(sweeps):
        rest_N = rating_N - mean - user_bias_U[user_N]
        movie_bias_M = np.bincount(movie_N, rest_N, movies) / (movie_damping + movie_count_M)
        rest_N = rating_N - mean - movie_bias_M[movie_N]
        user_bias_U = np.bincount(user_N, rest_N, users) / (user_damping + user_count_U)
    return BiasBaseline(mean, user_bias_U, movie_bias_M)
