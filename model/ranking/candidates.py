"""Ranking for users who may be recommended certain movies only, each of them others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.factors import Factors, is_trained
from model.ranking.ranker import Ranked

Int = NDArray[np.integer]


def rank_candidates(
    factors: Factors, user_idx_B: Int, candidate_B: list[Int], k: int | None
) -> Ranked:
    """The k best of `candidate_B[b]` for each of B users, equal scores by row number.

    Users and movies are row numbers; a user of -1 is one that the factors do not know. `k=None`
    ranks all candidates. Lists are short beside the catalogue, so pairs are scored one by one
    rather than as a product of blocks. Raises ValueError if a score is not a number.
    """
    owner_P = np.repeat(np.arange(len(candidate_B), dtype=np.int32), list(map(len, candidate_B)))
    movie_P = np.concatenate([*candidate_B, np.empty(0, np.int32)]).astype(np.int32)
    user_P = user_idx_B[owner_P]
    score_P = factors.popular_M[movie_P]
    model = np.flatnonzero(is_trained(user_P, factors.user_trained_U))
    score_P[model] = factors.score(user_P[model], movie_P[model])
    if np.isnan(score_P).any():
        raise ValueError("The model gives scores that are not numbers: train it again.")
    order = np.lexsort((movie_P, -score_P, owner_P))
    owner_P = owner_P[order]
    rank_P = (np.arange(len(order)) - np.searchsorted(owner_P, owner_P) + 1).astype(np.int32)
    kept = np.ones(len(order), bool) if k is None else rank_P <= k
    return Ranked(
        row_R=owner_P[kept],
        rank_R=rank_P[kept],
        movie_idx_R=movie_P[order][kept],
        score_R=score_P[order][kept],
    )
