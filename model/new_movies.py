"""Rows of movies that a model has not learned, from what a release says of them.

A movie's scores are taken to be a linear function of its genres, its years and the words of its
title: ridge regressions of the learned movies' rows, of what a movie is worth to everybody and of
its popularity, in which a movie counts the more, the more ratings it has (Gantner and others,
"Learning Attribute-to-Feature Mappings for Cold-Start Recommendations", 2010). Each has the penalty
with which the learned movies are told best by the others, one left out at a time (Allen, "The
Relationship between Variable Selection and Data Augmentation and a Method for Prediction", 1974).
Rows are told by how near they bring the scores of users, as rows can be written in many ways. So
any two matrices will do, also those in which a movie's row is its weights from all other movies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.data.movie_content import CatalogueContent
from model.factors import Factors, Joining

Ints = NDArray[np.integer]
Doubles = NDArray[np.float64]
# In movies of many ratings: a thing said of so many counts by half.
PENALTIES = 2.0 ** np.arange(-2, 13)
# Training ratings at which a movie counts by half.
HALF = 30
# Over whom scores are told: so many users, evenly spaced among those learned from.
USERS = 256
# As what prediction a new movie's counts where predictions are damped: as one of so many ratings.
COUNT = 1


@dataclass(frozen=True)
class NewMovies:
    """Rows, biases and popularity of N movies, whose ids ascend."""

    ids_N: Ints
    row_NK: Doubles
    bias_N: Doubles
    popular_N: Doubles


@dataclass(frozen=True)
class Regressions:
    """Weighted ridge regressions on what is known of L movies, with a constant beside.

    In coordinates in which that is uncorrelated, so that all penalties cost as much as one.
    """

    mean_W: Doubles
    turn_WW: Doubles
    known_LW: Doubles
    """Less its mean, and turned."""
    square_W: Doubles
    """Weighted sums of squares of its columns."""
    weight_L: Doubles

    @classmethod
    def of(cls, content_LW: Doubles, weight_L: Doubles) -> Regressions:
        mean_W = weight_L @ content_LW / weight_L.sum()
        rest_LW = content_LW - mean_W
        square_W, turn_WW = np.linalg.eigh(rest_LW.T @ (weight_L[:, None] * rest_LW))
        return cls(mean_W, turn_WW, rest_LW @ turn_WW, square_W.clip(min=0), weight_L)

    def left_out(self, value_LT: Doubles, penalties: Doubles) -> Iterator[Doubles]:
        """For each penalty, by how much each movie's values differ from what the others say."""
        weight_L1, total = self.weight_L[:, None], self.weight_L.sum()
        rest_LT = value_LT - self.weight_L @ value_LT / total
        product_WT, square_LW = self.known_LW.T @ (weight_L1 * rest_LT), self.known_LW**2
        for penalty in penalties:
            told_LT = self.known_LW @ (product_WT / (self.square_W + penalty)[:, None])
            own_L = 1 / total + square_LW @ (1 / (self.square_W + penalty))
            # Of a single movie nobody else says anything.
            left_L = np.maximum(1 - self.weight_L * own_L, np.finfo(float).eps)
            yield (rest_LT - told_LT) / left_L[:, None]

    def penalty(self, value_LT: Doubles) -> float:
        """The one with which movies are told best by the others; of equal ones the largest."""
        errors = [
            self.weight_L @ (left_LT**2).sum(1)
            for left_LT in self.left_out(value_LT, PENALTIES[::-1])
        ]
        return float(PENALTIES[::-1][np.argmin(errors)])

    def predict(self, value_LT: Doubles, penalty: float, content_NW: Doubles) -> Doubles:
        """What the regressions say of N other movies."""
        mean_T = self.weight_L @ value_LT / self.weight_L.sum()
        product_WT = self.known_LW.T @ (self.weight_L[:, None] * (value_LT - mean_T))
        turned_NW = (content_NW - self.mean_W) @ self.turn_WW
        return mean_T + turned_NW @ (product_WT / (self.square_W + penalty)[:, None])


def new_movies(factors: Factors, known: CatalogueContent, wanted_N: Ints) -> NewMovies:
    """What can be said of N movies, whose ids ascend, by a model that has not learned them.

    They and movies that it has learned are in the catalogue. Raises ValueError if none is learned.
    """
    ids_T, content_TW = known.ids_T, known.row_TW
    place_T = factors.learned_movies(ids_T)
    own_T = (place_T >= 0) & ~np.isin(ids_T, wanted_N)
    learned_L = place_T[own_T]
    if not len(learned_L):
        raise ValueError("the model has learned none of the movies of which anything is known")
    count_M, weight_L = factors.movie_count_M, np.ones(len(learned_L))
    if count_M is not None:
        weight_L = count_M[learned_L] / (count_M[learned_L] + HALF)
    regressions = Regressions.of(content_TW[own_T], weight_L)
    content_NW = content_TW[np.searchsorted(ids_T, wanted_N)]
    user_SK, mean_K = users_told(factors)
    row_LK = factors.movie_MK[learned_L].astype(float)
    # What is the same for all users is told apart from that in which they differ.
    level_L = factors.movie_bias_M[learned_L] + row_LK @ mean_K
    popular_L = factors.popular_M[learned_L].astype(float)
    penalty = regressions.penalty(row_LK @ (user_SK - mean_K).T)
    row_NK = regressions.predict(row_LK, penalty, content_NW)
    level_N, popular_N = (
        regressions.predict(value_L[:, None], regressions.penalty(value_L[:, None]), content_NW)[
            :, 0
        ]
        for value_L in (level_L, popular_L)
    )
    return NewMovies(wanted_N, row_NK, level_N - row_NK @ mean_K, popular_N)


def users_told(factors: Factors) -> tuple[Doubles, Doubles]:
    """Rows of some of the users that a model has learned from, and their mean."""
    trained = np.flatnonzero(factors.user_trained_U)
    some = trained[np.unique(np.linspace(0, len(trained) - 1, USERS).astype(int))[: len(trained)]]
    user_SK = factors.user_UK[some].astype(float)
    return user_SK, user_SK.sum(0) / max(1, len(some))


def with_new_movies(factors: Factors, new: NewMovies) -> Factors:
    """The model, with these rows for the movies that it has not learned.

    Where deviations count, they have the average movie's; `sd` of them is NaN.
    """
    missing_N = factors.learned_movies(new.ids_N) < 0
    if not missing_N.any():
        return factors
    ids_N = new.ids_N[missing_N]
    joined = Joining.of(factors.movie_ids_M, ids_N)
    count_M, sd_MS = factors.movie_count_M, factors.movie_sd_MS
    return replace(
        factors,
        movie_MK=joined(factors.movie_MK, new.row_NK[missing_N]),
        movie_bias_M=joined(factors.movie_bias_M, new.bias_N[missing_N]),
        popular_M=joined(factors.popular_M, new.popular_N[missing_N]),
        movie_trained_M=joined(factors.movie_trained_M, True),
        movie_content_M=joined(np.zeros(len(factors.movie_ids_M), bool), True),
        movie_ids_M=joined.ids_J,
        movie_count_M=None if count_M is None else joined(count_M, COUNT),
        movie_sd_MS=None
        if sd_MS is None
        else joined(sd_MS, sd_MS[factors.movie_trained_M].mean(0)),
        dates=factors.dates and factors.dates.with_movies_at(joined.at_O),
    )
