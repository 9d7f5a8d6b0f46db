"""How far two orders agree: figures of the same B users' k first movies, -1 where a list ends.

Overlap is the share of k that both name. Rank-biased overlap weights agreement by depth, each place
counting 0.9 times the one before it, and goes on below k as it stood there (Webber, Moffat and
Zobel, "A Similarity Measure for Indefinite Rankings", 2010, equation 23).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.integer]
Double = NDArray[np.float64]
PERSISTENCE = 0.9


def shared(one_BK: Int, other_BK: Int) -> Int:
    """Of each user and depth from 1 to k, how many movies both lists have named down to it."""
    same_BKK = (one_BK[:, :, None] == other_BK[:, None, :]) & (one_BK[:, :, None] >= 0)
    # A pair of places is seen from the deeper of both on.
    down_BKK = same_BKK.cumsum(1).cumsum(2)
    depth_K = np.arange(one_BK.shape[1])
    return down_BKK[:, depth_K, depth_K]


def overlap(one_BK: Int, other_BK: Int) -> Double:
    """The share of k that both name, of each user."""
    return shared(one_BK, other_BK)[:, -1] / one_BK.shape[1]


def rank_biased_overlap(one_BK: Int, other_BK: Int) -> Double:
    """Of each user: 1 where both orders are the same, 0 where they share no movie."""
    shared_BK, k = shared(one_BK, other_BK), one_BK.shape[1]
    depth_K = np.arange(1, k + 1)
    weight_K = (1 - PERSISTENCE) / PERSISTENCE * PERSISTENCE**depth_K
    return (shared_BK / depth_K * weight_K).sum(1) + shared_BK[:, -1] / k * PERSISTENCE**k
