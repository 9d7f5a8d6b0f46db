"""The rows of a block of users: ranked by the kernel, ranked by their own list, or taken over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.scoring.incremental import kept_rows
from jobs.scoring.inputs import Inputs
from jobs.scoring.lists import ListMaker
from model.factors import Factors, index_of, is_trained
from model.reasons import Explainer

Ints = NDArray[np.integer]
# By what is known of a movie that is new to a model. Else by popularity where what ranks knows
# nothing of the user; else by rows of the training, or with a predicted rating by a row of tonight.
SOURCES = ["model", "popular", "folded_in", "content"]
MODEL, POPULAR, FOLDED_IN, CONTENT = range(4)


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
    """Id of the rated movie that speaks most for a row; 0 where none is known or asked for."""
    share_R: NDArray[np.float32]
    """Its part of all that speaks for the row; NaN where there is none."""


def places(source_R: NDArray[np.object_]) -> NDArray[np.integer]:
    """Where in SOURCES each of these stands."""
    order = np.argsort(SOURCES)
    return order[np.searchsorted(np.sort(SOURCES), source_R.astype(str))].astype(np.int8)


@dataclass(frozen=True)
class Scorer:
    """What makes rows of users, who are given by their places in the inputs."""

    lists: ListMaker
    model: Factors
    """Predicts the ratings: what lists are made by, unless that is damped, a lower bound or a
    model of order."""
    base: Path | None
    """Folder of the recommendations that kept users' rows come from."""
    uncertainty: bool
    """Whether rows say how far off a rating may be."""
    explainer: Explainer | None
    """Gives rows their reasons; None where none are asked for, or the model knows none."""

    @property
    def inputs(self) -> Inputs:
        """Of all users."""
        return self.lists.inputs

    @property
    def ranking(self) -> Factors:
        """What movies are ranked by."""
        return self.lists.ranker.factors

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
        model, ranking, ranked = self.model, self.ranking, self.lists.lists(users)
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
        source_R = self.source(user_id_R, user_idx_R, ranked.movie_idx_R)
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
        because_R = np.zeros(len(row_R), np.int32)
        share_R = np.full(len(row_R), np.nan, np.float32)
        if self.explainer is None or self.inputs.histories is None:
            return because_R, share_R
        movie_ids_M = self.explainer.movie_ids_M
        known = self.inputs.histories.take(users)
        found = self.explainer.reasons(known, row_R, index_of(movie_ids_M, movie_id_R))
        # Of whom what ranks knows nothing, no rating speaks for a popular movie; and of a new movie
        # the model that gives reasons may know nothing.
        some_R = (found.movie_R >= 0) & (source_R != POPULAR) & (source_R != CONTENT)
        because_R[some_R] = movie_ids_M[found.movie_R[some_R]]
        share_R[some_R] = found.share_R[some_R]
        return because_R, share_R

    def source(
        self, user_id_R: NDArray[np.int32], user_idx_R: Ints, movie_idx_R: Ints
    ) -> NDArray[np.integer]:
        """What rows rest on, of users by id and by row number in the model.

        Movies are by row number in what ranks.
        """
        ranking, newcomers = self.ranking, self.lists.newcomers
        known_R = is_trained(ranking.user_idx(user_id_R), ranking.user_trained_U)
        by_row_R = np.where(self.model.is_folded(user_idx_R), FOLDED_IN, MODEL)
        source_R = np.where(known_R, by_row_R, POPULAR)
        if newcomers:
            is_new_R = newcomers.catalogue.column_M[movie_idx_R] >= 0
            source_R = np.where(is_new_R, CONTENT, source_R)
        return source_R.astype(np.int8)

    def taken_over(self, base: Path, user_ids: NDArray[np.int32]) -> Rows:
        """What the base recommended to users, who ascend."""
        table = kept_rows(base, user_ids)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        return Rows(
            columns["user_id"].astype(np.int32),
            columns["rank"].astype(np.int32),
            self.ranking.movie_idx(columns["movie_id"]),
            columns["predicted_rating"].astype(np.float32),
            places(columns["source"]),
            columns["ranking_score"].astype(np.float32),
            columns["rating_sd"].astype(np.float32),
            np.nan_to_num(columns["because_movie_id"].astype(float), nan=0).astype(np.int32),
            columns["because_share"].astype(np.float32),
        )
