"""Small models to work out by hand."""

from collections.abc import Mapping

import numpy as np

from model.data.histories import Histories
from model.factors import Factors


def factors(user_UK, movie_MK, movie_bias_M=None, **changes) -> Factors:
    """Factors with these rows, no biases, everything trained; `changes` replace other fields."""
    user_UK = np.asarray(user_UK, dtype=np.float32)
    movie_MK = np.asarray(movie_MK, dtype=np.float32)
    users, movies = len(user_UK), len(movie_MK)
    values = {
        "user_UK": user_UK,
        "movie_MK": movie_MK,
        "user_bias_U": np.zeros(users, np.float32),
        "movie_bias_M": np.asarray(
            np.zeros(movies) if movie_bias_M is None else movie_bias_M, np.float32
        ),
        "user_trained_U": np.ones(users, bool),
        "movie_trained_M": np.ones(movies, bool),
        "popular_M": np.full(movies, 3, np.float32),
        "user_ids_U": np.arange(1, users + 1, dtype=np.int32),
        "movie_ids_M": np.arange(10, movies + 10, dtype=np.int32),
        "mean": 0.0,
        "rating_min": 1.0,
        "rating_max": 5.0,
        "train_mean": 3.0,
    }
    return Factors(**values | changes)


def learned_from(factors: Factors) -> int:
    """Ratings that a model has learned from."""
    assert factors.movie_count_M is not None
    return int(factors.movie_count_M.sum())


def histories(*users: Mapping[int, float]) -> Histories:
    """Of users, each what was rated by the row number of a movie."""
    movie_N = [movie for rated in users for movie in rated]
    count = len(movie_N)
    return Histories(
        np.arange(len(users), dtype=np.int32),
        np.cumsum([0, *map(len, users)]),
        np.array(movie_N, np.int32),
        np.array([rating for rated in users for rating in rated.values()], np.float32),
        np.full(count, -1),
        np.zeros(count, np.int8),
    )
