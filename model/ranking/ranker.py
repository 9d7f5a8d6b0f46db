"""The scoring kernel: every user's best unrated movies, exactly.

A search finds the pairs that can be among a user's k best, a few more (model/ranking/search.py).
These are scored in float64, rounded to float32 and ordered: by score, equal scores by movie. So the
answer is that of brute force in float64, whatever the search, the blocks and the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.factors import Factors, is_trained
from model.ranking.catalogue import LARGEST_NORM, UNUSABLE, Catalogue, prepare_catalogue
from model.ranking.lists import Lists
from model.ranking.search import (
    DenseSearch,
    Int8Search,
    int8_is_exact,
    int8_is_fast,
    offsets,
    pair_scores,
)

Int = NDArray[np.integer]
# They bound the memory of a block of users, whatever the size of the catalogue.
MOST_PAIRS_ORDERED = 1_000_000
MOST_PAIRS_SCORED = 2**27


@dataclass(frozen=True)
class Ranked:
    """R recommendations, users in the order given, best first within a user."""

    row_R: Int
    """Which of the B users, by place."""
    rank_R: Int
    """1 = best."""
    movie_idx_R: Int
    score_R: NDArray[np.float32]
    """Not clipped: clipping would make ties of the best."""


class Ranker:
    """`Factors` and the catalogue of movies that may be recommended.

    Candidates are the movies with training ratings; `movie_ids`, if given, narrows them further; a
    `catalogue` that was prepared before saves the time and, memory-mapped, the memory. Users
    without training ratings rank movies by `popular_M`. `device` is cpu or cuda; on the CPU, a
    thread works on its own `users_per_block`, fewer where the catalogue is huge.
    Raises ValueError if a candidate's numbers are not finite.
    """

    def __init__(
        self,
        factors: Factors,
        movie_ids: Int | None = None,
        *,
        catalogue: Catalogue | None = None,
        device: str = "cpu",
        threads: int = 1,
        users_per_block: int = 512,
    ) -> None:
        self.factors = factors
        self.catalogue = catalogue or prepare_catalogue(factors, movie_ids)
        self.movie_idx_C = self.catalogue.movie_idx_C
        self.threads, self.users_per_block = threads, users_per_block
        by_int8 = device == "cpu" and int8_is_exact() and int8_is_fast()
        self.int8 = Int8Search(self.catalogue) if by_int8 else None
        self.device = device
        self.dense: DenseSearch | None = None
        self.exact_row_CK = torch.from_numpy(self.catalogue.exact_row_CK)

    def top_k(self, user_idx_B: Int, rated: Lists | Sequence[Int], k: int | None) -> Ranked:
        """The k best movies for B users, none of its rated ones among a user's.

        Users and movies are row numbers; -1 is one that the factors do not know. `k=None` ranks
        all candidates. A user with fewer than k unrated movies gets those. Raises ValueError if a
        score is not a number.
        """
        if not isinstance(rated, Lists):
            rated = Lists.of(rated)
        # All pairs of a block may be ordered, at about 100 bytes each, or else scored, at 4.
        most = MOST_PAIRS_ORDERED if k is None else MOST_PAIRS_SCORED
        step = max(1, min(self.users_per_block, most // max(1, len(self.movie_idx_C))))
        starts = range(0, len(user_idx_B), step)

        def rank(start: int) -> Ranked:
            users = user_idx_B[start : start + step]
            return self.rank_block(users, rated.slice(start, start + len(users)), k)

        if self.threads == 1:
            parts = [rank(start) for start in starts]
        else:
            # Torch's own threads would split each small product: a block per thread is faster.
            with ThreadPoolExecutor(
                self.threads, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                parts = list(pool.map(rank, starts))
        return joined(parts, starts)

    def rank_block(self, user_idx_B: Int, rated: Lists, k: int | None) -> Ranked:
        """`top_k` of one block of users."""
        trained_B = is_trained(user_idx_B, self.factors.user_trained_U)
        if trained_B.all():
            owner_N, column_N, score_N = self.by_model(user_idx_B, rated, k)
        else:
            place = np.flatnonzero(trained_B), np.flatnonzero(~trained_B)
            model = self.by_model(user_idx_B[place[0]], rated.take(place[0]), k)
            popular = self.by_popularity(rated.take(place[1]), k)
            owner_N = np.concatenate([place[0][model[0]], place[1][popular[0]]])
            column_N, score_N = (
                np.concatenate(both) for both in zip(model[1:], popular[1:], strict=True)
            )
        movie_idx_N = self.movie_idx_C[column_N]
        order_N = best_first(owner_N, score_N, movie_idx_N)
        owner_N = owner_N[order_N]
        rank_N = np.arange(len(owner_N)) - np.searchsorted(owner_N, owner_N)
        keep = slice(None) if k is None else rank_N < k
        chosen_R = order_N[keep]
        return Ranked(
            row_R=owner_N[keep].astype(np.int32),
            rank_R=(rank_N[keep] + 1).astype(np.int32),
            movie_idx_R=movie_idx_N[chosen_R],
            score_R=score_N[chosen_R],
        )

    def by_model(self, user_idx_B: Int, rated: Lists, k: int | None) -> tuple[Int, Int, NDArray]:
        """Users, columns and scores of unrated pairs, the k best of each user among them."""
        f, c = self.factors, self.catalogue
        row_BK = f.user_UK[user_idx_B].astype(np.float64)
        offset_B = f.user_bias_U[user_idx_B].astype(np.float64) + f.mean
        if not np.abs(row_BK).max(initial=0) + np.abs(offset_B).max(initial=0) <= LARGEST_NORM:
            raise ValueError(UNUSABLE)
        excluded_N = self.excluded(rated)
        if k is None or len(user_idx_B) == 0 or len(self.movie_idx_C) == 0:
            owner_N, column_N = every_pair(len(user_idx_B), len(self.movie_idx_C))
        else:
            search = self.search(k)
            owner_N, column_N = search.candidates(row_BK, offset_B, excluded_N, k)
        left = not_in(column_N * len(user_idx_B) + owner_N, excluded_N)
        owner_N, column_N = owner_N[left], column_N[left]
        score_N = pair_scores(
            torch.from_numpy(row_BK),
            self.exact_row_CK,
            offsets(torch.from_numpy(owner_N), len(user_idx_B)),
            torch.from_numpy(column_N),
        ).numpy()
        score_N = score_N + c.exact_bias_C[column_N] + offset_B[owner_N]
        return owner_N, column_N, score_N.astype(np.float32)

    def by_popularity(self, rated: Lists, k: int | None) -> tuple[Int, Int, NDArray]:
        """As `by_model`, for users of whom nothing is known: the popular movies."""
        c = self.catalogue
        excluded_N = self.excluded(rated)
        # The first k and as many as can be rated hold k that are not.
        count_B = np.full(len(rated), len(self.movie_idx_C))
        if k is not None:
            count_B = np.minimum(count_B, k + rated.count_B)
        owner_N = np.repeat(np.arange(len(rated)), count_B)
        place_N = np.arange(len(owner_N)) - np.repeat(np.cumsum(count_B) - count_B, count_B)
        column_N = c.popular_column_C[place_N].astype(np.int64)
        left = not_in(column_N * len(rated) + owner_N, excluded_N)
        return owner_N[left], column_N[left], c.popular_C[column_N[left]]

    def search(self, k: int) -> Int8Search | DenseSearch:
        if self.int8 and self.int8.finds(k):
            return self.int8
        if self.dense is None:
            dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
            self.dense = DenseSearch(self.catalogue, self.device, dtype)
        return self.dense

    def excluded(self, rated: Lists) -> Int:
        """Column x B + user of all rated candidates, ascending."""
        # Short integers sort faster; where no user of a block can overflow them, they do.
        small = len(rated) * len(self.movie_idx_C) < 2**31
        whole = np.int32 if small else np.int64
        owner_N = np.repeat(np.arange(len(rated), dtype=whole), rated.count_B)
        column_N = self.catalogue.column_M[rated.value_N].astype(whole, copy=False)
        key_N = column_N * whole(len(rated)) + owner_N
        key_N = key_N[column_N >= 0]
        key_N.sort()
        return key_N


def every_pair(users: int, movies: int) -> tuple[Int, Int]:
    return np.repeat(np.arange(users), movies), np.tile(np.arange(movies), users)


def not_in(key_N: Int, sorted_keys: Int) -> NDArray[np.bool_]:
    """Which of N keys are not among the sorted ones."""
    if len(sorted_keys) == 0:
        return np.ones(len(key_N), bool)
    # Of one type: else numpy converts all the keys.
    key_N = key_N.astype(sorted_keys.dtype, copy=False)
    place = np.minimum(np.searchsorted(sorted_keys, key_N), len(sorted_keys) - 1)
    return sorted_keys[place] != key_N


def best_first(owner_N: Int, score_N: NDArray[np.float32], movie_idx_N: Int) -> Int:
    """The order of N pairs: by user, then falling score, then movie."""
    # Adding 0 makes -0 the same as 0. A float's bits, with those of negative ones turned round,
    # order as the numbers do; with the user above them, one integer orders both.
    bits_N = (score_N + np.float32(0)).view(np.int32).astype(np.int64)
    bits_N ^= (bits_N >> 63) & 0x7FFFFFFF
    key_N = (owner_N.astype(np.int64) << 32) - bits_N
    order_N = np.argsort(key_N)
    sorted_N = key_N[order_N]
    if (sorted_N[1:] == sorted_N[:-1]).any():
        return np.lexsort((movie_idx_N, key_N))
    return order_N


def joined(parts: list[Ranked], starts: Sequence[int]) -> Ranked:
    """Blocks of users after one another."""
    if not parts:
        nothing = np.empty(0, np.int32)
        return Ranked(nothing, nothing, nothing, np.empty(0, np.float32))
    return Ranked(
        row_R=np.concatenate([p.row_R + s for p, s in zip(parts, starts, strict=True)]),
        rank_R=np.concatenate([p.rank_R for p in parts]),
        movie_idx_R=np.concatenate([p.movie_idx_R for p in parts]),
        score_R=np.concatenate([p.score_R for p in parts]),
    )
