"""Random factors and rated movies of a given shape, for the benchmarks of scoring."""

import numpy as np

from model.factors import Factors
from model.ranking.lists import Lists


def random_factors(users: int, movies: int, width: int, seed: int = 7) -> Factors:
    """Normal factors and biases: no movie is weak enough to be left out, the worst case."""
    random = np.random.default_rng(seed)

    def normal(scale: float, *shape: int) -> np.ndarray:
        return random.standard_normal(shape, np.float32) * np.float32(scale)

    return Factors(
        user_UK=normal(0.3, users, width),
        movie_MK=normal(0.3, movies, width),
        user_bias_U=normal(0.4, users),
        movie_bias_M=normal(0.4, movies),
        user_trained_U=np.ones(users, bool),
        movie_trained_M=np.ones(movies, bool),
        popular_M=normal(0.4, movies) + np.float32(3.5),
        user_ids_U=np.arange(1, users + 1, dtype=np.int32),
        movie_ids_M=np.arange(1, movies + 1, dtype=np.int32),
        mean=3.5,
        rating_min=0.5,
        rating_max=5.0,
        train_mean=3.5,
    )


def random_rated(users: int, movies: int, each: int, seed: int = 8) -> Lists:
    """`each` rated movies per user, ascending."""
    movie_BN = np.random.default_rng(seed).integers(0, movies, (users, each), np.int32)
    return Lists(np.arange(users + 1, dtype=np.int64) * each, np.sort(movie_BN, axis=1).ravel())
