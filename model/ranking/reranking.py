"""Lists chosen for more than each movie's score: diverse, calibrated, or of few movies of a genre.

A list is made movie by movie, from a pool of the user's best. The next is the one with the most of

    (1 - d - c) relevance  -  d similarity  -  c divergence

relevance    the movie's score, from 0 of the least in the pool to 1 of the best
similarity   Jaccard's, of the movie's genres and those of the movie in the list most like it:
             Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking", 1998
divergence   Kullback and Leibler's, of the genres of the list with the movie from those of the
             user's history: Steck, "Calibrated Recommendations", 2018

Genres stand for what a movie is like, as they do not depend on a model, and are what a person sees.
With a cap no movie comes that would be one too many of any of its genres. Where the pool has none
that may come, the list goes on with the best of the others. Equals stand in the order of scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.ranking.genres import SMOOTHING, distances, genre_sets, genre_shares

if TYPE_CHECKING:
    # With torch, of which an audit has no need.
    from model.ranking.ranker import Ranked

Int = NDArray[np.integer]
Bool = NDArray[np.bool_]
Double = NDArray[np.float64]
# The user's best movies, of which a list is chosen; of a longer list, as many as that.
POOL = 200
# What is weighed is counted in whole billionths: sums are exact, so that the order of summing in a
# product of matrices does not decide between equals.
UNIT = 1e-9
# More than all that is weighed besides scores: what comes after the pool keeps its order.
APART = 10**10
NEVER, BARRED, LEAST = -(2**62), 2**61, -(2**60)
# Users times movies that are weighed together.
PAIRS_PER_BLOCK = 200_000


@dataclass(frozen=True)
class Wanted:
    """What lists are chosen for, besides scores; by default nothing."""

    diversity: float = 0.0
    """d; below 1 together with c."""
    calibration: float = 0.0
    """c."""
    genre_cap: int | None = None
    """Movies of one genre in a list, at most."""

    def __bool__(self) -> bool:
        return self != Wanted()


class Reranking:
    """What is wanted, made ready for M movies of G genres, of which there are C different sets."""

    def __init__(self, wanted: Wanted, genre_MG: Bool) -> None:
        self.wanted = wanted
        self.set_CG, self.set_M = genre_sets(genre_MG)
        self.share_CG = genre_shares(self.set_CG)
        self.similarity_CC = 1 - distances(self.set_CG)
        size_C = self.set_CG.sum(1)
        self.without_C = size_C == 0
        # Of a set, what it adds to a list follows from its genres and their number: X pairs.
        self.size_S = np.unique(size_C[~self.without_C])
        has_GSC = self.set_CG.T[:, None] & (self.size_S[:, None] == size_C)
        self.has_XC = has_GSC.reshape(-1, len(size_C)).astype(np.float64)

    def rerank(self, ranked: Ranked, history_BG: Double, k: int) -> Ranked:
        """The k best movies of B users, in the order in which they were chosen.

        `ranked` holds at least the best `pool_of(k)` of each, or all, as a ranker gives them;
        `history_BG` the share of each genre in what a user has rated, nan of whom none has one. A
        list is shorter than k where no ranked movie is left that may come. Scores stay as they
        were, and need not fall from rank to rank.
        """
        users = len(history_BG)
        offset_B1 = np.searchsorted(ranked.row_R, np.arange(users + 1))
        step = max(1, PAIRS_PER_BLOCK // max(1, int(np.diff(offset_B1).max(initial=0))))
        chosen_BK = np.full((users, k), -1)
        for start in range(0, users, step):
            block = slice(start, start + step)
            offsets = offset_B1[start : start + step + 1]
            self.choose(ranked, offsets, np.nan_to_num(history_BG[block]), chosen_BK[block])
        row_R, turn_R = np.nonzero(chosen_BK >= 0)
        at_R = chosen_BK[row_R, turn_R]
        return replace(
            ranked,
            row_R=row_R.astype(np.int32),
            rank_R=(turn_R + 1).astype(np.int32),
            movie_idx_R=ranked.movie_idx_R[at_R],
            score_R=ranked.score_R[at_R],
        )

    def choose(self, ranked: Ranked, offset_B1: Int, history_BG: Double, chosen_BK: Int) -> None:
        """Write the places in `ranked` of the movies of a block of users, turn by turn."""
        users, count_B = len(history_BG), np.diff(offset_B1)
        owner_N, at_N = np.repeat(np.arange(users), count_B), np.arange(offset_B1[0], offset_B1[-1])
        place_N = at_N - offset_B1[owner_N]
        weight = 1 - self.wanted.diversity - self.wanted.calibration
        turns, pool = chosen_BK.shape[1], pool_of(chosen_BK.shape[1])
        relevance_N = relevance(ranked.score_R[at_N].astype(np.float64), place_N, owner_N, pool)
        value_BP = np.full((users, int(count_B.max(initial=0))), NEVER)
        value_BP[owner_N, place_N] = np.where(
            place_N < pool, np.rint(weight * relevance_N / UNIT), -APART * place_N
        )
        set_BP = np.zeros(value_BP.shape, np.intp)
        set_BP[owner_N, place_N] = self.set_M[ranked.movie_idx_R[at_N]]
        listed_BG, nearest_BC = np.zeros_like(history_BG), np.zeros((users, len(self.set_CG)))
        number_BG = np.zeros(history_BG.shape, int)
        for turn in range(min(turns, value_BP.shape[1])):
            cost_BC = self.cost(history_BG, listed_BG, number_BG, nearest_BC)
            weighed_BP = value_BP - np.take_along_axis(cost_BC, set_BP, 1)
            best_B = weighed_BP.argmax(1)
            row_A = np.flatnonzero(weighed_BP[np.arange(users), best_B] > LEAST)
            best_A = best_B[row_A]
            chosen_BK[row_A, turn] = offset_B1[row_A] + best_A
            value_BP[row_A, best_A] = NEVER
            set_A = set_BP[row_A, best_A]
            listed_BG[row_A] += self.share_CG[set_A]
            number_BG[row_A] += self.set_CG[set_A]
            nearest_BC[row_A] = np.maximum(nearest_BC[row_A], self.similarity_CC[set_A])

    def cost(
        self, history_BG: Double, listed_BG: Double, number_BG: Int, nearest_BC: Double
    ) -> Int:
        """What a movie of each set of genres loses by them in the next turn, in units; B x C."""
        wanted, cost_BC = self.wanted, np.zeros(nearest_BC.shape)
        if wanted.diversity:
            cost_BC += wanted.diversity * nearest_BC
        if wanted.calibration:
            cost_BC += wanted.calibration * self.divergence(history_BG, listed_BG)
        units_BC = np.rint(cost_BC / UNIT).astype(np.int64)
        if wanted.genre_cap:
            full_BG = (number_BG >= wanted.genre_cap).astype(np.float64)
            units_BC[full_BG @ self.set_CG.T > 0] = BARRED
        return units_BC

    def divergence(self, history_BG: Double, listed_BG: Double) -> Double:
        """Of the list with one more movie of each set from the history, in nats; B x C.

        `listed_BG` sums up the shares of the movies in the list. A movie without genres changes
        nothing; of a list of nothing else, only what is mixed in is there.
        """
        movies_B1 = listed_BG.sum(1, keepdims=True)
        rated_BG = history_BG > 0
        own_BG = np.where(rated_BG, SMOOTHING * history_BG, 1)

        def fit(list_BG: Double) -> Double:
            return history_BG * np.log(own_BG + (1 - SMOOTHING) * list_BG * rated_BG)

        least_B1 = fit(history_BG).sum(1, keepdims=True)
        with_one_BG = fit(listed_BG / (movies_B1 + 1))
        # What each pair of genre and size adds to the fit of a list in which it has nothing new.
        more_BGS = np.zeros((*history_BG.shape, len(self.size_S)))
        for place, size in enumerate(self.size_S):
            more_BGS[:, :, place] = fit((listed_BG + 1 / size) / (movies_B1 + 1)) - with_one_BG
        added_BC = more_BGS.reshape(len(history_BG), len(self.has_XC)) @ self.has_XC
        fit_BC = with_one_BG.sum(1, keepdims=True) + added_BC
        as_it_is_B1 = fit(listed_BG / np.maximum(movies_B1, 1)).sum(1, keepdims=True)
        return least_B1 - np.where(self.without_C, as_it_is_B1, fit_BC)


def pool_of(k: int) -> int:
    """How many of a user's best movies a list of k is chosen from."""
    return max(k, POOL)


def relevance(score_N: Double, place_N: Int, owner_N: Int, pool: int) -> Double:
    """Scores of each user's pool, from 0 of the least to 1 of the best; of equal ones all 0."""
    first_N = np.arange(len(place_N)) - place_N
    last_N = np.searchsorted(owner_N, owner_N, "right") - 1
    best_N, least_N = score_N[first_N], score_N[np.minimum(last_N, first_N + pool - 1)]
    return (score_N - least_N) / np.where(best_N > least_N, best_N - least_N, 1)
