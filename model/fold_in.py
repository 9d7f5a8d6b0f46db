"""Rows of users that a model of ratings has not learned from, or not from all that they rated.

A user's row and bias are the ridge regression of what the user rated on the movies' rows and on 1,
as they stand: towards the mean row of the users learned from, the harder the less these vary in a
direction (their covariance), and the noisier ratings are. That is the mean of the row given the
ratings, where rows are normal: the user's half of a sweep of probabilistic matrix factorisation
(Salakhutdinov and Mnih, "Bayesian Probabilistic Matrix Factorization using MCMC", 2008).

Who such a user is, digests tell: a model keeps one of each user's ratings at its training. A row
follows from the model and the user's own ratings alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from model.data.histories import Histories
from model.factors import Factors, Joining
from model.known_ratings import digests

Ints = NDArray[np.integer]
# Users whose equations are solved together; a user's solution is the same in any company.
USERS_PER_BLOCK = 256
# Where all ratings are the same, nothing is left around scores, and rows that never differ have no
# equations but the noise's.
LEAST_NOISE = 1e-6


@dataclass(frozen=True)
class Prior:
    """What W numbers, a user's row and bias, are before anything is known of the user."""

    mean_W: NDArray[np.float64]
    root_WW: NDArray[np.float64]
    """Times its transpose, the covariance."""

    @classmethod
    def of(cls, factors: Factors) -> Prior:
        """That of the users that a model has learned from; directions of no variance are fixed."""
        row_UW = np.column_stack([factors.user_UK, factors.user_bias_U])[factors.user_trained_U]
        row_UW = row_UW.astype(np.float64)
        rest_UW = row_UW - row_UW.mean(0)
        value_W, vector_WW = np.linalg.eigh(rest_UW.T @ rest_UW / max(len(row_UW) - 1, 1))
        return cls(row_UW.mean(0), vector_WW * np.sqrt(value_W.clip(min=0)))


@dataclass(frozen=True)
class Equations:
    """The regression of users' ratings on M movies' rows, in coordinates of unit covariance."""

    prior: Prior
    base_M: NDArray[np.float64]
    """Scores of the mean row."""
    white_MW: NDArray[np.float64]
    noise: float

    @classmethod
    def of(cls, factors: Factors, noise: float) -> Equations:
        """Those of a model; see `ridge_rows`."""
        prior = Prior.of(factors)
        movie_MW = with_bias(factors.movie_MK).astype(np.float64)
        base_M = factors.mean + factors.movie_bias_M + movie_MW @ prior.mean_W
        return cls(prior, base_M, movie_MW @ prior.root_WW, max(noise, LEAST_NOISE))

    def rest(self, known: Histories) -> NDArray[np.float64]:
        """What is left of N ratings by the scores of the mean row."""
        return known.rating_N - self.base_M[known.movie_N]

    def parts(self, known: Histories) -> NDArray[np.float32]:
        """What each of N ratings adds to its user's row and bias, N x W: they begin at the mean."""
        width, rest_N = self.white_MW.shape[1], self.rest(known)
        part_NW, noise_WW = np.empty((len(rest_N), width), np.float32), self.noise * np.eye(width)
        for first, last in pairwise(known.offset_U1):
            white_NW = self.white_MW[known.movie_N[first:last]]
            solved_WN = np.linalg.solve(white_NW.T @ white_NW + noise_WW, white_NW.T)
            part_NW[first:last] = (self.prior.root_WW @ solved_WN).T * rest_N[first:last, None]
        return part_NW


def with_bias(movie_MK: NDArray[np.float32]) -> NDArray[np.float32]:
    """The movies' rows, and a 1 that a user's bias is multiplied with."""
    return np.column_stack([movie_MK, np.ones(len(movie_MK), np.float32)])


def ridge_rows(
    factors: Factors, known: Histories, noise: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows, U x K, and biases of U users, whose movies are row numbers of learned ones.

    `noise` is the variance of ratings around scores, in square rating points. Of whom nothing is
    known, the row is the mean row.
    """
    equations = Equations.of(factors, noise)
    prior, rest_N = equations.prior, equations.rest(known)
    solved_UW = regressions(
        known.offset_U1, rest_N, known.movie_N, equations.white_MW, equations.noise
    )
    row_UW = prior.mean_W + solved_UW @ prior.root_WW.T
    return row_UW[:, :-1].astype(np.float32), row_UW[:, -1].astype(np.float32)


def regressions(
    offset_U1: Ints, value_N: NDArray, movie_N: Ints, row_MW: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Ridge regressions of each of U users' values on the rows of their movies, U x W.

    Those of the u-th of them stand at `offset_U1[u]` to before `offset_U1[u + 1]`.
    """
    users, width = len(offset_U1) - 1, row_MW.shape[1]
    solved_UW, penalty_WW = np.empty((users, width)), penalty * np.eye(width)
    for start in range(0, users, USERS_PER_BLOCK):
        bound_B1 = offset_U1[start : start + USERS_PER_BLOCK + 1]
        left_BWW = np.empty((len(bound_B1) - 1, width, width))
        right_BW = np.empty((len(bound_B1) - 1, width))
        for user, (first, last) in enumerate(pairwise(bound_B1)):
            row_NW = row_MW[movie_N[first:last]]
            left_BWW[user] = row_NW.T @ row_NW + penalty_WW
            right_BW[user] = row_NW.T @ value_N[first:last]
        solved_BW = np.linalg.solve(left_BWW, right_BW[:, :, None])[:, :, 0]
        solved_UW[start : start + len(solved_BW)] = solved_BW
    return solved_UW


def can_fold_in(factors: Factors) -> bool:
    """Whether a model keeps what rows are solved by, as those of earlier versions did not."""
    return factors.noise is not None and factors.known_U is not None


def fresh(factors: Factors, user_ids_U: Ints, digest_U: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of U users have other ratings than at the model's training; none if it cannot say.

    `digest_U` are those of their ratings now.
    """
    if factors.noise is None or factors.known_U is None:
        return np.zeros(len(user_ids_U), bool)
    idx_U = factors.user_idx(user_ids_U)
    then_U = np.where(idx_U >= 0, np.asarray(factors.known_U)[idx_U], np.uint64(0))
    return then_U != digest_U


def with_folded_in(
    factors: Factors, histories: Histories, user_ids_U: Ints, movie_ids_M: Ints
) -> Factors:
    """The model, with rows of today for those of U users, who ascend, that are `fresh`.

    `histories` are these users', one for each; their movies are row numbers in `movie_ids_M`. Those
    that the model has not learned are left out. Of whom nothing is left, nothing is known.
    Returns the model itself if nobody is fresh. How far off ratings may be is not known of folded
    rows: `sd` of them is NaN, and bounds are those of the average user.
    """
    digest_U = digests(histories, movie_ids_M)
    fresh_U = fresh(factors, user_ids_U, digest_U)
    if not fresh_U.any() or factors.noise is None:
        return factors
    own = histories.take(np.flatnonzero(fresh_U)).by_movie(factors.learned_movies(movie_ids_M))
    row_BK, bias_B = ridge_rows(factors, own, factors.noise)
    some_B = own.count_U > 0
    joined = Joining.of(factors.user_ids_U, user_ids_U[fresh_U])
    sd_US = factors.user_sd_US
    if sd_US is not None:
        sd_US = joined(sd_US, sd_US[factors.user_trained_U].mean(0))
    known_U = None if factors.known_U is None else joined(factors.known_U, digest_U[fresh_U])
    return replace(
        factors,
        user_UK=joined(factors.user_UK, np.where(some_B[:, None], row_BK, np.float32(0))),
        user_bias_U=joined(factors.user_bias_U, np.where(some_B, bias_B, np.float32(0))),
        user_trained_U=joined(factors.user_trained_U, some_B),
        user_folded_U=joined(np.zeros(len(factors.user_ids_U), bool), some_B),
        user_ids_U=joined.ids_J,
        user_sd_US=sd_US,
        dates=factors.dates and factors.dates.moved(joined.at_O, len(joined.ids_J)),
        known_U=known_U,
    )
