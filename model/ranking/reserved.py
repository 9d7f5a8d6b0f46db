"""Lists of which some places are kept for movies of another list."""

from __future__ import annotations

import numpy as np

from model.ranking.ranker import Ranked, best_first


def with_places_for(few: Ranked, ranked: Ranked, k: int | None) -> Ranked:
    """The best k of both of each user, best first, with all of `few` among them.

    Both are of the same users, with other movies, and `few` no longer than k. `k=None`: all.
    """
    users = 1 + max(few.row_R.max(initial=-1), ranked.row_R.max(initial=-1))
    kept_R = np.ones(len(ranked.row_R), bool)
    if k is not None:
        left_B = k - np.bincount(few.row_R, minlength=users)
        kept_R = ranked.rank_R <= left_B[ranked.row_R]
    row_R, movie_idx_R, score_R = (
        np.concatenate([getattr(few, name), getattr(ranked, name)[kept_R]])
        for name in ("row_R", "movie_idx_R", "score_R")
    )
    order_R = best_first(row_R, score_R, movie_idx_R)
    row_R = row_R[order_R]
    rank_R = np.arange(len(row_R)) - np.searchsorted(row_R, row_R) + 1
    return Ranked(row_R, rank_R.astype(np.int32), movie_idx_R[order_R], score_R[order_R])
