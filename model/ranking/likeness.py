"""How alike two movies are to models: whether the same users want them, and like them.

That is not to be read off a model's movie rows: any invertible matrix may be put between users'
rows and movies' rows, and all scores stay while the cosines of rows change (Steck, Ekanadham and
Kallus, "Is Cosine-Similarity of Embeddings Really About Similarity?", 2024). What stays is how the
scores of the two movies move together over the users, their Pearson correlation, which is

    cosine of the rows (movie_row C^(1/2)),   C the covariance of users' rows

What raises a movie for all users alike, as its bias and its popularity, drops out of it. A user's
bias, which raises all movies alike, is left out. The similarity is the mean over the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from model.factors import Factors

# Of more users the covariance is that of so many, evenly spaced.
MOST_USERS = 100_000
USERS_PER_BLOCK = 8192
# A movie whose scores differ less than this share of what the movie's do that differ most is the
# same to all users, but for rounding.
LEAST_SPREAD = 1e-4
# Of the variance, added to that in every direction.
RIDGE = 1e-11
NO_IDS = np.empty(0, np.int32)


def users_compared(factors: Factors) -> NDArray[np.int64]:
    """Row numbers of the users over whom scores are compared: those who were learned of."""
    trained = np.flatnonzero(factors.user_trained_U)
    return trained[:: max(1, -(-len(trained) // MOST_USERS))]


def movies_as_users(models: Sequence[Factors]) -> Factors:
    """`Factors` whose users and movies are the models' movies, and whose scores are similarities.

    They are the movies of which every model has learned something in which users differ, but for
    models that have learned of none, such as the biases.
    """
    known = [(model.movie_ids_M, *unit_rows(model)) for model in models]
    known = [of for of in known if of[2].any()]
    ids_B = reduce(np.intersect1d, [ids_M[known_M] for ids_M, _, known_M in known] or [NO_IDS])
    rows = [row_MK[np.searchsorted(ids_M, ids_B)] for ids_M, row_MK, _ in known]
    row_BK = np.hstack([np.zeros((len(ids_B), 0)), *rows]) * max(1, len(rows)) ** -0.5
    row_BK = evened(row_BK).astype(np.float32)
    zeros_B, all_B = np.zeros(len(ids_B), np.float32), np.ones(len(ids_B), bool)
    return Factors(
        user_UK=row_BK,
        movie_MK=row_BK,
        user_bias_U=zeros_B,
        movie_bias_M=zeros_B,
        user_trained_U=all_B,
        movie_trained_M=all_B,
        popular_M=zeros_B,
        user_ids_U=ids_B,
        movie_ids_M=ids_B,
        mean=0,
        rating_min=-1,
        rating_max=1,
        train_mean=0,
    )


def evened(row_BK: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows turned so that no few numbers of one are large, which 8-bit integers keep best.

    Products of rows stay: signs are drawn, and a cosine transform is orthogonal.
    """
    width = row_BK.shape[1]
    sign_K = np.random.default_rng(0).choice([-1.0, 1.0], width)
    return dct(row_BK * sign_K, norm="ortho") if width and len(row_BK) else row_BK


def unit_rows(factors: Factors) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rows of length 1 whose products are correlations, and which movies have one; others are 0."""
    covariance_KK = covariance(factors)
    spread = np.trace(covariance_KK)
    row_MK = factors.movie_MK.astype(np.float64)
    if not spread:
        return np.zeros_like(row_MK), np.zeros(len(row_MK), bool)
    # Any root serves; this one is found soonest, of what has no zero eigenvalue.
    root_KK = np.linalg.cholesky(covariance_KK + RIDGE * spread * np.eye(len(covariance_KK)))
    row_MK = row_MK @ root_KK
    spread_M = np.linalg.norm(row_MK, axis=1)
    known_M = factors.movie_trained_M & (spread_M > LEAST_SPREAD * spread_M.max(initial=0))
    row_MK[~known_M] = 0
    row_MK[known_M] /= spread_M[known_M, None]
    return row_MK, known_M


def covariance(factors: Factors) -> NDArray[np.float64]:
    """Of users' rows, K x K."""
    users = users_compared(factors)
    blocks = [users[i : i + USERS_PER_BLOCK] for i in range(0, len(users), USERS_PER_BLOCK)]
    width = factors.user_UK.shape[1]
    sum_K, sum_KK = np.zeros(width), np.zeros((width, width))
    for block in blocks:
        sum_K += factors.user_UK[block].sum(0, dtype=np.float64)
    for block in blocks:
        row_BK = factors.user_UK[block] - sum_K / len(users)
        sum_KK += row_BK.T @ row_BK
    return sum_KK / max(1, len(users))
