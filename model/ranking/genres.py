"""Genres of movies and of lists: the sets of them that there are, how far apart, what lists hold.

Of many movies there are few sets of genres: what follows from a movie's genres alone is worked out
once for each set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.ranking.lists import Lists

Int = NDArray[np.integer]
Bool = NDArray[np.bool_]
Double = NDArray[np.float64]
# So much of the history's distribution is mixed into the list's: else a genre missing there would
# make it infinitely far. Steck's value ("Calibrated Recommendations", 2018).
SMOOTHING = 0.01


def genre_sets(genre_MG: Bool) -> tuple[Bool, Int]:
    """The C different sets of genres, C x G, and which of them each movie has."""
    set_CG, set_M = np.unique(genre_MG, axis=0, return_inverse=True)
    return set_CG, set_M.reshape(-1)


def distances(set_CG: Bool) -> Double:
    """Jaccard distances of sets of genres, C x C.

    None at all is as far from some genres as can be, and not from itself.
    """
    shared_CC = set_CG.astype(np.float64) @ set_CG.T
    size_C = set_CG.sum(1)
    either_CC = size_C[:, None] + size_C - shared_CC
    return np.where(either_CC > 0, 1 - shared_CC / np.maximum(either_CC, 1), 0.0)


def genre_shares(genre_MG: Bool) -> Double:
    """A weight of one for each movie, shared among its genres; zeros of a movie without any."""
    return genre_MG / np.maximum(genre_MG.sum(1, keepdims=True), 1)


def distribution(lists: Lists, share_MG: Double) -> Double:
    """The share of each genre in each list; nan where the list has none."""
    rows = len(lists), share_MG.shape[1]
    owner_N = np.repeat(np.arange(len(lists)), lists.count_B)
    sum_BG = np.zeros(rows)
    for genre in range(rows[1]):
        sum_BG[:, genre] = np.bincount(owner_N, share_MG[lists.value_N, genre], len(lists))
    total_B1 = sum_BG.sum(1, keepdims=True)
    return sum_BG / np.where(total_B1 > 0, total_B1, np.nan)
