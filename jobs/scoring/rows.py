"""The rows of a block of users: ranked by the kernel, ranked by their own list, or taken over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.scoring.arrays import Rows
from jobs.scoring.incremental import taken_over
from jobs.scoring.inputs import Inputs
from model.factors import Factors, index_of
from model.ranking.candidates import rank_candidates
from model.ranking.ranker import Ranked, Ranker, Rated


def block_rows(
    ranker: Ranker,
    model: Factors,
    inputs: Inputs,
    first: int,
    last: int,
    top_k: int | None,
    base: Path | None,
) -> Rows:
    """The rows of users `first` to before `last` of the inputs.

    `model` predicts the ratings: what `ranker` ranks by, unless that is damped. `base` is the
    folder of recommendations that the inputs' kept users' rows come from.
    """
    user_ids = inputs.user_ids_U[first:last]
    kept = inputs.kept_U[first:last]
    place = np.flatnonzero(~kept)
    ranked = rank(ranker, inputs, first + place, top_k)
    user_ids_B = user_ids[place]
    # The model may be older than the ratings, so its row numbers are looked up by id.
    user_idx_R = model.user_idx(user_ids_B)[ranked.row_R]
    if ranker.factors is model:
        predicted_R = ranked.score_R.clip(model.rating_min, model.rating_max)
    else:
        predicted_R = model.predict(user_idx_R, ranked.movie_idx_R)
    rows = Rows(
        user_ids_B[ranked.row_R],
        ranked.rank_R,
        ranked.movie_idx_R,
        predicted_R.astype(np.float32),
        model.source(user_idx_R, ranked.movie_idx_R) == "popular",
        ranked.score_R,
    )
    if base is None or not kept.any():
        return rows
    earlier = taken_over(base, user_ids[kept], model)
    both = [np.concatenate(columns) for columns in zip(rows, earlier, strict=True)]
    order = np.lexsort((both[1], both[0]))
    return Rows(*(column[order] for column in both))


def rank(ranker: Ranker, inputs: Inputs, users: NDArray[np.int64], top_k: int | None) -> Ranked:
    """Rank for users, given by place in the inputs: those who have a list by that, others by all.

    `row_R` of the answer counts the users as given.
    """
    listed = index_of(inputs.lists.user_ids_U, inputs.user_ids_U[users])
    place = np.flatnonzero(listed < 0), np.flatnonzero(listed >= 0)
    factors = ranker.factors
    rated = rated_of(inputs, users[place[0]], factors)
    by_all = ranker.top_k(factors.user_idx(inputs.user_ids_U[users[place[0]]]), rated, top_k)
    if not len(place[1]):
        return by_all
    movie_ids = factors.movie_ids_M[ranker.movie_idx_C]
    left = [
        np.setdiff1d(np.intersect1d(inputs.lists.of(listed[i]), movie_ids), inputs.rated(users[i]))
        for i in place[1]
    ]
    user_idx = factors.user_idx(inputs.user_ids_U[users[place[1]]])
    by_list = rank_candidates(factors, user_idx, [factors.movie_idx(ids) for ids in left], top_k)
    row_R = np.concatenate([place[0][by_all.row_R], place[1][by_list.row_R]])
    order = np.argsort(row_R, kind="stable")
    return Ranked(
        row_R[order],
        *(
            np.concatenate([getattr(by_all, name), getattr(by_list, name)])[order]
            for name in ("rank_R", "movie_idx_R", "score_R")
        ),
    )


def rated_of(inputs: Inputs, users: NDArray[np.int64], factors: Factors) -> Rated:
    """The rated movies of users, who ascend, as the kernel takes them."""
    if not len(users):
        return Rated.of([])
    start, stop = users[0], users[-1] + 1
    offset = inputs.offset_U1[start : stop + 1]
    movie_idx = factors.movie_idx(inputs.movie_ids_N[offset[0] : offset[-1]])
    rated = Rated(offset - offset[0], movie_idx)
    return rated if len(users) == stop - start else rated.take(users - start)
