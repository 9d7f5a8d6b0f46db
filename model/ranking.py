"""The scoring kernel: every user's best unrated movies, exactly.

A block of users times all movies as one matrix product; rated movies are masked; the k best are
selected. Exact: the order is that of the float32 scores, equal scores by movie id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.factors import Factors, known

Int = NDArray[np.integer]


@dataclass(frozen=True)
class Ranked:
    """R recommendations, users in the order given, best first within a user."""

    row_R: Int
    """Which of the B users, by place in the block."""
    rank_R: Int
    """1 = best."""
    movie_idx_R: Int
    score_R: NDArray[np.float32]
    """Not clipped: clipping would make ties of the best."""


class Ranker:
    """`Factors` made ready for the matrix product: C candidate movies, biases folded in.

    A user's row gets a 1 appended and a movie's row its bias, so one product gives score_BC but
    for the user's bias and the mean. Users without training ratings rank movies by `popular_M`.
    Candidates are the movies with training ratings; `movie_ids`, if given, narrows them further.
    """

    def __init__(self, factors: Factors, movie_ids: Int | None = None) -> None:
        self.factors = factors
        candidate_M = np.asarray(factors.movie_trained_M)
        if movie_ids is not None:
            candidate_M = candidate_M & np.isin(factors.movie_ids_M, movie_ids)
        self.movie_idx_C = np.flatnonzero(candidate_M).astype(np.int32)
        rows_CK = factors.movie_MK[self.movie_idx_C]
        bias_C1 = factors.movie_bias_M[self.movie_idx_C, None]
        self.candidate_KC = torch.from_numpy(np.hstack([rows_CK, bias_C1]).T.copy())
        self.popular_C = torch.from_numpy(factors.popular_M[self.movie_idx_C].copy())
        self.column_M = np.full(len(factors.movie_ids_M), -1, dtype=np.int64)
        self.column_M[self.movie_idx_C] = np.arange(len(self.movie_idx_C))

    def top_k(self, user_idx_B: Int, rated_B: list[Int], k: int | None) -> Ranked:
        """The k best movies for B users, none of `rated_B[b]` among b's.

        Users and movies are row numbers; -1 is one that the factors do not know. `k=None` ranks
        all candidates. A user with fewer than k unrated movies gets those. Raises ValueError if a
        score is not a number.
        """
        score_BC = self.score(user_idx_B)
        self.mask(score_BC, rated_B)
        if torch.isnan(score_BC).any():
            raise ValueError("The model gives scores that are not numbers: train it again.")
        width = score_BC.shape[1]
        column_R, row_R = select(score_BC, width if k is None else min(k, width))
        score_R = score_BC[row_R, column_R].numpy()
        owner_R, chosen_R = row_R.numpy(), column_R.numpy()
        # What the mask reached is no recommendation: a user may have rated nearly everything.
        left = np.isfinite(score_R)
        owner_R, chosen_R, score_R = owner_R[left], chosen_R[left], score_R[left]
        first_R = np.searchsorted(owner_R, owner_R)
        return Ranked(
            row_R=owner_R.astype(np.int32),
            rank_R=(np.arange(len(owner_R)) - first_R + 1).astype(np.int32),
            movie_idx_R=self.movie_idx_C[chosen_R],
            score_R=score_R,
        )

    def score(self, user_idx_B: Int) -> torch.Tensor:
        """score_BC of B users for the C trained movies, rated ones included, not clipped."""
        f = self.factors
        unknown_B = ~known(user_idx_B, f.user_trained_U)
        rows_BK = np.hstack([f.user_UK[user_idx_B], np.ones((len(user_idx_B), 1), np.float32)])
        score_BC = torch.from_numpy(rows_BK) @ self.candidate_KC
        offset_B = f.user_bias_U[user_idx_B] + np.float32(f.mean)
        score_BC += torch.from_numpy(offset_B)[:, None]
        score_BC[torch.from_numpy(unknown_B)] = self.popular_C
        return score_BC

    def mask(self, score_BC: torch.Tensor, rated_B: list[Int]) -> None:
        """Set the scores of each user's rated movies to minus infinity, in place."""
        row_N = np.repeat(np.arange(len(rated_B)), [len(rated) for rated in rated_B])
        if len(row_N) == 0:
            return
        movie_N = np.concatenate(rated_B)
        column_N = np.where(movie_N >= 0, self.column_M[movie_N], -1)
        there = column_N >= 0
        cells = torch.from_numpy(row_N[there]), torch.from_numpy(column_N[there])
        score_BC[cells] = -torch.inf


def select(score_BC: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns and rows of each row's k largest scores, best first, equal scores by column.

    `torch.topk` may pick any of the scores that tie with the k-th, so it only finds the k-th: all
    that reach it are gathered, ordered, and cut at k.
    """
    if k == 0 or score_BC.numel() == 0:
        return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    kth_B1 = score_BC.topk(k, dim=1, sorted=False).values.amin(1, keepdim=True)
    owner_N, column_N = torch.where(score_BC >= kth_B1)
    score_N = score_BC[owner_N, column_N]
    by_score = torch.sort(score_N, descending=True, stable=True).indices
    order = by_score[torch.sort(owner_N[by_score], stable=True).indices]
    owner_N, column_N = owner_N[order], column_N[order]
    first_N = torch.searchsorted(owner_N, owner_N)
    keep = torch.arange(len(owner_N)) - first_N < k
    return column_N[keep], owner_N[keep]
