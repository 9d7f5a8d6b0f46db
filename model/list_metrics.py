"""What lists are like, whatever their users went on to rate: figures of B users' k best movies.

Of each user (nan where a list is too short to have one): mean popularity, the training ratings of
a listed movie; novelty, the mean of -log2 of the share of users who rated it (Zhou et al., "Solving
the apparent diversity-accuracy dilemma", 2010); intra-list distance, the mean over pairs of listed
movies of the Jaccard distance of their genres; calibration, how far the genres of the list are from
those of the user's history (Steck, "Calibrated Recommendations", 2018), 0 where they are the same.

Of all lists together: coverage, the share of movies that anybody is shown; Gini, how unevenly they
are shown, 0 if all alike and 1 if one alone; personalisation, the mean over pairs of users of the
share of movies that they are not both shown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.ranking.genres import SMOOTHING, distances, distribution, genre_sets, genre_shares
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked

Int = NDArray[np.integer]
Double = NDArray[np.float64]
USERS_PER_BLOCK = 512


def first(ranked: Ranked, users: int, k: int) -> Lists:
    """The k best of each of B users."""
    keep_R = ranked.rank_R <= k
    count_B = np.bincount(ranked.row_R[keep_R], minlength=users)
    return Lists(np.concatenate([[0], np.cumsum(count_B)]), ranked.movie_idx_R[keep_R])


def mean_of(lists: Lists, value_M: Double) -> Double:
    """The mean over each list of what its movies have; nan where it is empty."""
    owner_N = np.repeat(np.arange(len(lists)), lists.count_B)
    sum_B = np.bincount(owner_N, value_M[lists.value_N], len(lists))
    return sum_B / np.where(lists.count_B > 0, lists.count_B, np.nan)


def mean_popularity(lists: Lists, count_M: Int) -> Double:
    """`count_M`: training ratings of each movie."""
    return mean_of(lists, count_M.astype(np.float64))


def novelty(lists: Lists, count_M: Int, users: int) -> Double:
    """In bits; a movie that none of the training's `users` rated counts as rated by one."""
    return mean_of(lists, -np.log2(np.maximum(count_M, 1) / users))


def intra_list_distance(lists: Lists, genre_MG: NDArray[np.bool_]) -> Double:
    """Nan for lists of fewer than two movies."""
    set_CG, set_M = genre_sets(genre_MG)
    distance_CC = distances(set_CG)
    distance_B = np.full(len(lists), np.nan)
    for length in np.unique(lists.count_B[lists.count_B > 1]):
        place_L = np.flatnonzero(lists.count_B == length)
        for start in range(0, len(place_L), USERS_PER_BLOCK):
            block = place_L[start : start + USERS_PER_BLOCK]
            set_BK = set_M[lists.take(block).value_N].reshape(-1, length)
            sum_B = distance_CC[set_BK[:, :, None], set_BK[:, None, :]].sum((1, 2))
            distance_B[block] = sum_B / (length * (length - 1))
    return distance_B


def calibration(lists: Lists, history: Lists, genre_MG: NDArray[np.bool_]) -> Double:
    """Kullback-Leibler divergence of each list's genres from those of the user's history, in nats.

    A movie's weight is shared among its genres. nan where either has no movie with a genre.
    """
    share_MG = genre_shares(genre_MG)
    history_BG, list_BG = distribution(history, share_MG), distribution(lists, share_MG)
    list_BG = (1 - SMOOTHING) * list_BG + SMOOTHING * history_BG
    with np.errstate(divide="ignore", invalid="ignore"):
        part_BG = history_BG * np.log(history_BG / list_BG)
    part_BG[history_BG == 0] = 0
    return part_BG.sum(1)


def coverage(lists: Lists, movies: int) -> float:
    """Share of the movies that stand in any list."""
    return len(np.unique(lists.value_N)) / movies


def gini(lists: Lists, movies: int) -> float:
    """Gini index of how often each of all movies is shown; nan where nothing is."""
    shown_M = np.sort(np.bincount(lists.value_N, minlength=movies)).astype(np.float64)
    if shown_M.sum() == 0:
        return np.nan
    place_M = np.arange(1, movies + 1)
    return float(((2 * place_M - movies - 1) * shown_M).sum() / (movies * shown_M.sum()))


def personalisation(lists: Lists, k: int) -> float:
    """1 - the mean over pairs of users of the share of k that both are shown; nan below 2 users."""
    users = len(lists)
    if users < 2:
        return np.nan
    # A movie shown to n users is shared by n (n - 1) / 2 pairs.
    shown_M = np.bincount(lists.value_N).astype(np.float64)
    return float(1 - (shown_M * (shown_M - 1)).sum() / (users * (users - 1)) / k)
