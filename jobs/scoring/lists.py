"""Which movies stand on users' lists: the best that may, or those chosen among them for more.

By the kernel, or of whom there is a list of candidates, of these. Never what the user has rated,
nor what the user was shown of late where score.repeat_after says so. With score.diversity,
calibration or genre_cap, lists are chosen of the best (model/ranking/reranking.py); with
score.new_movies, so many places are those of new movies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.scoring.inputs import Inputs
from model.ranking.candidates import rank_candidates
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked, Ranker
from model.ranking.reranking import Reranking, Wanted, pool_of
from model.ranking.reserved import with_places_for

Ints = NDArray[np.integer]
# Rows of users of whom all movies are ranked at once.
MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class ListMaker:
    """Makes the lists of users, who are given by their places in the inputs."""

    ranker: Ranker
    inputs: Inputs
    top_k: int | None
    """None: every pair."""
    reranking: Reranking | None
    """By genres of the ranker's movies, by row number; None: lists are by score."""
    newcomers: Ranker | None = None
    """Ranks new movies alone, by the same rows of users; None where they have no places."""
    places: int = 0
    """How many of a list by score are theirs."""

    @classmethod
    def of(cls, ranker: Ranker, inputs: Inputs, top_k: int | None, wanted: Wanted) -> ListMaker:
        """By what is wanted besides scores."""
        if not wanted:
            return cls(ranker, inputs, top_k, None)
        assert inputs.genres is not None
        return cls(
            ranker, inputs, top_k, Reranking(wanted, inputs.genres.of(ranker.factors.movie_ids_M))
        )

    def lists(self, users: NDArray[np.int64]) -> Ranked:
        """The lists of users, who ascend; `row_R` of the answer counts the users as given."""
        if self.reranking is None or self.top_k is None or self.inputs.genres is None:
            ranked = self.best(users, self.top_k)
            if self.newcomers is None:
                return ranked
            new = self.best(users, self.places, self.newcomers)
            return with_places_for(new, ranked, self.top_k)
        history_BG = self.inputs.genres.distribution(self.inputs.rated.take(users))
        pool = self.best(users, pool_of(self.top_k))
        chosen = self.reranking.rerank(pool, history_BG, self.top_k)
        # Where a cap leaves a list short, the movies after the pool are looked at, too.
        count_B, pool_B = (np.bincount(of.row_R, minlength=len(users)) for of in (chosen, pool))
        short = np.flatnonzero((count_B < self.top_k) & (pool_B == pool_of(self.top_k)))
        step = max(1, MOST_ROWS // max(1, len(self.ranker.movie_idx_C)))
        parts = [(np.arange(len(users)), part_of(chosen, ~np.isin(chosen.row_R, short)))]
        for start in range(0, len(short), step):
            few = short[start : start + step]
            every = self.best(users[few], None)
            parts.append((few, self.reranking.rerank(every, history_BG[few], self.top_k)))
        return together(parts) if len(short) else chosen

    def best(self, users: NDArray[np.int64], k: int | None, ranker: Ranker | None = None) -> Ranked:
        """The k best of users, who ascend: by their own lists where they have one.

        Of the movies of another ranker, if one is given.
        """
        ranker = ranker or self.ranker
        factors, own = ranker.factors, self.inputs.own.take(users)
        user_idx = factors.user_idx(self.inputs.user_ids_U[users])
        free, listed = np.flatnonzero(own.count_B == 0), np.flatnonzero(own.count_B)
        barred = self.barred(users[free])
        barred = Lists(barred.offset_B1, factors.movie_idx(barred.value_N))
        by_all = ranker.top_k(user_idx[free], barred, k)
        if not len(listed):
            return by_all
        movie_ids = factors.movie_ids_M[ranker.movie_idx_C]
        barred = self.barred(users[listed])
        left = [
            np.setdiff1d(np.intersect1d(own[i], movie_ids), barred[place])
            for place, i in enumerate(listed)
        ]
        candidates = [factors.movie_idx(ids) for ids in left]
        by_list = rank_candidates(factors, user_idx[listed], candidates, k)
        return together([(free, by_all), (listed, by_list)])

    def barred(self, users: NDArray[np.int64]) -> Lists:
        """The ids of movies that users, who ascend, are not shown."""
        rated, shown = self.inputs.rated, self.inputs.shown
        # Nearly always neighbours, whose lists need no copying.
        if len(users) and users[-1] - users[0] + 1 == len(users):
            rated, shown = (of.slice(users[0], users[-1] + 1) for of in (rated, shown))
        else:
            rated, shown = rated.take(users), shown.take(users)
        return rated.with_more(shown) if len(shown.value_N) else rated


def together(parts: Sequence[tuple[Ints, Ranked]]) -> Ranked:
    """Lists of different users as one; with each part the places of its users."""
    row_R = np.concatenate([place_B[of.row_R] for place_B, of in parts])
    order = np.argsort(row_R, kind="stable")
    return Ranked(
        row_R[order],
        *(
            np.concatenate([getattr(of, name) for _, of in parts])[order]
            for name in ("rank_R", "movie_idx_R", "score_R")
        ),
    )


def part_of(ranked: Ranked, some_R: NDArray[np.bool_]) -> Ranked:
    """Some of the rows."""
    return Ranked(
        ranked.row_R[some_R],
        ranked.rank_R[some_R],
        ranked.movie_idx_R[some_R],
        ranked.score_R[some_R],
    )
