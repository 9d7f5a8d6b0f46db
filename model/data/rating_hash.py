"""A number of each rating that never changes: what deals by hash go by, in NumPy.

Spark's `xxhash64(user_id, movie_id, seed)` of 4-byte ids is the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# What Spark begins with, before the first column.
START = 42
PRIMES = [
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
]


def rating_hash(
    user_N: NDArray[np.integer], movie_N: NDArray[np.integer], seed: int
) -> NDArray[np.int64]:
    """Of N ratings, by the ids of user and movie and a seed, of each of which 32 bits count."""
    hash_N = np.full(len(user_N), START, np.uint64)
    for column in (user_N, movie_N, np.full(len(user_N), seed & 0xFFFFFFFF)):
        hash_N = xxh64(np.asarray(column).astype(np.uint32).astype(np.uint64), hash_N)
    return hash_N.view(np.int64)


def xxh64(int_N: NDArray[np.uint64], seed_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """XXH64 of 4 bytes each (github.com/Cyan4973/xxHash, doc/xxhash_spec.md)."""
    hash_N = (seed_N + PRIMES[4] + np.uint64(4)) ^ (int_N * PRIMES[0])
    hash_N = (hash_N << np.uint64(23) | hash_N >> np.uint64(41)) * PRIMES[1] + PRIMES[2]
    hash_N = (hash_N ^ hash_N >> np.uint64(33)) * PRIMES[1]
    hash_N = (hash_N ^ hash_N >> np.uint64(29)) * PRIMES[2]
    return hash_N ^ hash_N >> np.uint64(32)
