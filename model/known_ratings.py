"""Digests of what users have rated, by which it is seen whether that has changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.data.histories import Histories


def rating_hashes(
    movie_ids_N: NDArray[np.integer], rating_N: NDArray[np.float32]
) -> NDArray[np.uint64]:
    """A number for each pair of a movie's id and a rating: SplitMix64 (Steele and others, 2014)."""
    ids_N = np.asarray(movie_ids_N, np.int64).astype(np.uint64)
    bits_N = np.asarray(rating_N, np.float32).view(np.uint32).astype(np.uint64)
    hash_N = (ids_N << np.uint64(32) | bits_N) + np.uint64(0x9E3779B97F4A7C15)
    hash_N = (hash_N ^ hash_N >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    hash_N = (hash_N ^ hash_N >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return hash_N ^ hash_N >> np.uint64(31)


def digests(histories: Histories, movie_ids_M: NDArray[np.integer]) -> NDArray[np.uint64]:
    """One of each of U users, whatever the order and the times of the ratings; 0 of no rating."""
    hash_N = rating_hashes(movie_ids_M[histories.movie_N], histories.rating_N)
    sum_N1 = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hash_N, dtype=np.uint64)])
    return sum_N1[histories.offset_U1[1:]] - sum_N1[histories.offset_U1[:-1]]
