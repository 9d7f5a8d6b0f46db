"""From what was ranked to rows of schemas.SCORED, and the ranking of users with a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.candidates import rank_candidates
from model.factors import Factors, load_factors
from model.ranking import Ranked

Blocks = Iterable[pd.DataFrame]
Int = NDArray[np.integer]


def scored_rows(
    ranked: Ranked, user_ids_B: Int, user_idx_B: Int, ranking: Factors, model: Factors
) -> pd.DataFrame:
    """Rows of schemas.SCORED for B users, given by id and by row number.

    They were ranked by the scores of `ranking`; ratings are predicted by `model`, the same unless
    scores are damped.
    """
    user_idx_R = user_idx_B[ranked.row_R]
    if ranking is model:
        predicted_R = ranked.score_R.clip(model.rating_min, model.rating_max)
    else:
        predicted_R = model.predict(user_idx_R, ranked.movie_idx_R)
    return pd.DataFrame(
        {
            "user_id": user_ids_B[ranked.row_R],
            "rank": ranked.rank_R,
            "movie_id": model.movie_ids_M[ranked.movie_idx_R],
            "predicted_rating": predicted_R,
            "source": model.source(user_idx_R, ranked.movie_idx_R),
            "ranking_score": ranked.score_R,
        }
    )


def load_both(ranking: Path, model: Path) -> tuple[Factors, Factors]:
    """The `Factors` to rank by and those that predict: one object where they are the same."""
    plain = load_factors(model)
    return (plain if ranking == model else load_factors(ranking)), plain


def list_scorer(
    ranking: Path, model: Path, movie_ids: Int, top_k: int | None
) -> Callable[[Blocks], Blocks]:
    """The function for mapInPandas that ranks, for each user, the movies of the user's own list."""

    def score(batches: Blocks) -> Blocks:
        by, plain = load_both(ranking, model)
        for users in batches:
            user_ids = users["user_id"].to_numpy()
            user_idx = plain.user_idx(user_ids)
            lists = zip(users["candidates"], users["movie_ids"], strict=True)
            left = [np.setdiff1d(np.intersect1d(mine, movie_ids), rated) for mine, rated in lists]
            candidates = [plain.movie_idx(ids) for ids in left]
            ranked = rank_candidates(by, user_idx, candidates, top_k)
            yield scored_rows(ranked, user_ids, user_idx, by, plain)

    return score
