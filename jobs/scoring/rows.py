"""The rows of a block of users: ranked by the kernel, ranked by their own list, or taken over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.scoring.incremental import kept_rows
from jobs.scoring.inputs import Inputs
from model.factors import Factors, index_of, is_trained
from model.ranking.candidates import rank_candidates
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked, Ranker
from model.reasons import Explainer

Ints = NDArray[np.integer]
# By popularity where what ranks knows nothing of the user; else by rows of the training, or with a
# predicted rating by a row of tonight.
SOURCES = ["model", "popular", "folded_in"]
MODEL, POPULAR, FOLDED_IN = range(3)


class Rows(NamedTuple):
    """R recommendations, by user and rank."""

    user_id_R: NDArray[np.int32]
    rank_R: NDArray[np.integer]
    movie_idx_R: NDArray[np.integer]
    """Row numbers in what ranks."""
    predicted_R: NDArray[np.float32]
    """On the rating scale."""
    source_R: NDArray[np.integer]
    """What a row rests on: its place in SOURCES."""
    score_R: NDArray[np.float32]
    """What ranks the movies: a model of order, or the predicted rating, not clipped, and damped or
    less some deviations if the run says so."""
    sd_R: NDArray[np.float32]
    """Standard deviation of the rating; NaN where it is not known or not asked for."""
    because_R: NDArray[np.int32]
    """Id of the rated movie that speaks most for a row; -1 where none is known or asked for."""
    share_R: NDArray[np.float32]
    """Its part of all that speaks for the row; NaN where there is none."""


def places(source_R: NDArray[np.object_]) -> NDArray[np.integer]:
    """Where in SOURCES each of these stands."""
    order = np.argsort(SOURCES)
    return order[np.searchsorted(np.sort(SOURCES), source_R.astype(str))].astype(np.int8)


@dataclass(frozen=True)
class Scorer:
    """What makes rows of users, who are given by their places in the inputs."""

    ranker: Ranker
    model: Factors
    """Predicts the ratings: what the ranker ranks by, unless that is damped, a lower bound or a
    model of order."""
    inputs: Inputs
    top_k: int | None
    """None: every pair."""
    base: Path | None
    """Folder of the recommendations that kept users' rows come from."""
    uncertainty: bool
    """Whether rows say how far off a rating may be."""
    explainer: Explainer | None
    """Gives rows their reasons; None where none are asked for, or the model knows none."""

    def rows(self, first: int, last: int) -> Rows:
        """The rows of users `first` to before `last`."""
        kept = self.inputs.kept_U[first:last]
        rows = self.scored(first + np.flatnonzero(~kept))
        if self.base is None or not kept.any():
            return rows
        earlier = self.taken_over(self.base, self.inputs.user_ids_U[first:last][kept])
        both = Rows(*(np.concatenate(columns) for columns in zip(rows, earlier, strict=True)))
        order = np.lexsort((both.rank_R, both.user_id_R))
        return Rows(*(column[order] for column in both))

    def scored(self, users: NDArray[np.int64]) -> Rows:
        """The rows of users, who ascend, made anew."""
        model, ranking, ranked = self.model, self.ranker.factors, self.ranked(users)
        user_id_R = self.inputs.user_ids_U[users[ranked.row_R]]
        # A model may be older than the ratings, so its row numbers are looked up by id.
        movie_id_R = ranking.movie_ids_M[ranked.movie_idx_R]
        user_idx_R, movie_idx_R = model.user_idx(user_id_R), model.movie_idx(movie_id_R)
        if ranking is model:
            predicted_R = ranked.score_R.clip(model.rating_min, model.rating_max)
        else:
            predicted_R = model.predict(user_idx_R, movie_idx_R)
        sd_R = np.full(len(user_id_R), np.nan, np.float32)
        if self.uncertainty:
            sd_R = model.sd(user_idx_R, movie_idx_R)
        source_R = self.source(user_id_R, user_idx_R)
        because_R, share_R = self.because(users, ranked.row_R, movie_id_R, source_R)
        return Rows(
            user_id_R,
            ranked.rank_R,
            ranked.movie_idx_R,
            predicted_R.astype(np.float32),
            source_R,
            ranked.score_R,
            sd_R,
            because_R,
            share_R,
        )

    def because(
        self, users: NDArray[np.int64], row_R: Ints, movie_id_R: Ints, source_R: Ints
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ids and shares of the reasons of R rows, of users by place among `users`."""
        because_R = np.full(len(row_R), -1, np.int32)
        share_R = np.full(len(row_R), np.nan, np.float32)
        if self.explainer is None or self.inputs.histories is None:
            return because_R, share_R
        movie_ids_M = self.explainer.movie_ids_M
        known = self.inputs.histories.take(users)
        found = self.explainer.reasons(known, row_R, index_of(movie_ids_M, movie_id_R))
        # Of whom what ranks knows nothing, no rating speaks for a popular movie.
        some_R = (found.movie_R >= 0) & (source_R != POPULAR)
        because_R[some_R] = movie_ids_M[found.movie_R[some_R]]
        share_R[some_R] = found.share_R[some_R]
        return because_R, share_R

    def source(self, user_id_R: NDArray[np.int32], user_idx_R: NDArray) -> NDArray[np.integer]:
        """Of users by id and by row number in the model: what their rows rest on."""
        ranking = self.ranker.factors
        known_R = is_trained(ranking.user_idx(user_id_R), ranking.user_trained_U)
        by_row_R = np.where(self.model.is_folded(user_idx_R), FOLDED_IN, MODEL)
        return np.where(known_R, by_row_R, POPULAR).astype(np.int8)

    def taken_over(self, base: Path, user_ids: NDArray[np.int32]) -> Rows:
        """What the base recommended to users, who ascend."""
        table = kept_rows(base, user_ids)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        return Rows(
            columns["user_id"].astype(np.int32),
            columns["rank"].astype(np.int32),
            self.ranker.factors.movie_idx(columns["movie_id"]),
            columns["predicted_rating"].astype(np.float32),
            places(columns["source"]),
            columns["ranking_score"].astype(np.float32),
            columns["rating_sd"].astype(np.float32),
            np.nan_to_num(columns["because_movie_id"].astype(float), nan=-1).astype(np.int32),
            columns["because_share"].astype(np.float32),
        )

    def ranked(self, users: NDArray[np.int64]) -> Ranked:
        """The best of users, who ascend: by their own lists where they have one.

        `row_R` of the answer counts the users as given.
        """
        factors, own = self.ranker.factors, self.inputs.own.take(users)
        user_idx = factors.user_idx(self.inputs.user_ids_U[users])
        free, listed = np.flatnonzero(own.count_B == 0), np.flatnonzero(own.count_B)
        by_all = self.ranker.top_k(user_idx[free], self.rated(users[free]), self.top_k)
        if not len(listed):
            return by_all
        movie_ids = factors.movie_ids_M[self.ranker.movie_idx_C]
        left = [
            np.setdiff1d(np.intersect1d(own[i], movie_ids), self.inputs.rated[users[i]])
            for i in listed
        ]
        candidates = [factors.movie_idx(ids) for ids in left]
        by_list = rank_candidates(factors, user_idx[listed], candidates, self.top_k)
        row_R = np.concatenate([free[by_all.row_R], listed[by_list.row_R]])
        order = np.argsort(row_R, kind="stable")
        return Ranked(
            row_R[order],
            *(
                np.concatenate([getattr(by_all, name), getattr(by_list, name)])[order]
                for name in ("rank_R", "movie_idx_R", "score_R")
            ),
        )

    def rated(self, users: NDArray[np.int64]) -> Lists:
        """The rated movies of users, who ascend, as row numbers in what ranks."""
        if not len(users):
            return Lists.of([])
        # Nearly always neighbours, whose lists need no copying.
        neighbours = users[-1] - users[0] + 1 == len(users)
        rated = self.inputs.rated
        rated = rated.slice(users[0], users[-1] + 1) if neighbours else rated.take(users)
        return Lists(rated.offset_B1, self.ranker.factors.movie_idx(rated.value_N))
