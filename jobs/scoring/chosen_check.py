"""What must hold of lists that were chosen by genres: the audit of publish looks, in its own way.

For some users, with rows of tonight, all scores are worked out, and list by list, movie by movie it
is asked whether another one would have been the better choice after those above it. That goes by
the definitions (model/ranking/reranking.py), from the genres of each movie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.published.audit import ToPublish
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.scoring import ScoreSettings
from jobs.scoring.folding import Known
from jobs.scoring.genres import Genres
from jobs.scoring.incremental import rests_on_histories
from jobs.scoring.models import Models
from jobs.scoring.plan import ranking_model
from model.factors import Factors, is_trained
from model.fold_in import can_fold_in, with_folded_in
from model.ranking.genres import SMOOTHING
from model.ranking.reranking import pool_of

Bool = NDArray[np.bool_]
Double = NDArray[np.float64]
# Users, evenly spaced, whose lists are looked at.
USERS = 200
# Of what is weighed, whose parts are mostly from 0 to 1.
TOLERANCE = 1e-2
# What puts movies outside the pool below all that are in it.
BELOW = 100
CHECK = "no other movie would have been the better choice for a list"
NOTHING = np.empty(0, np.int32)


def check_chosen(run: Run, models: Models, data: ToPublish) -> list[str]:
    """Check lists of `recommendations`, if they are chosen by genres; returns the checks' names.

    Raises JobError for the first list with a movie in the place of a better one.
    """
    settings = run.conf.score
    if not settings.by_genres:
        return []
    nth = f"(select greatest(1, count(distinct user_id) // {USERS}) from recommendations)"
    data.tables.execute(
        "create or replace temp table looked_at as select user_id from "
        "(select distinct user_id from recommendations) "
        f"qualify row_number() over (order by user_id) % {nth} = 0"
    )
    lists = ids_by_user(data, "recommendations", "rank")
    if not lists:
        return [CHECK]
    barred = [ids_by_user(data, name) for name in ("ratings", "shown")]
    own = ids_by_user(data, "candidates")
    user_ids = np.array(sorted(lists), np.int32)
    ranking = of_tonight(run, models, user_ids)
    movie_ids, genres = np.sort(data.movie_ids), Genres.read(run)
    for user in user_ids.tolist():
        history_G = shares(genres.of(barred[0].get(user, NOTHING)))
        left = np.setdiff1d(movie_ids, np.concatenate([of.get(user, NOTHING) for of in barred]))
        if user in own:
            left = np.intersect1d(left, own[user])
        score_N = scores(ranking, user, left)
        order_N = np.argsort(-score_N, kind="stable")
        choice = Choice(
            left[order_N], score_N[order_N], genres.of(left[order_N]), history_G, settings
        )
        if mistake := choice.first_mistake(lists[user].tolist()):
            found, better = mistake
            raise JobError(
                f"Audit failed, nothing was published: {CHECK}. Example: user_id={user}, "
                f"movie_id={found}, and not {better}."
            )
    return [CHECK]


def ids_by_user(data: ToPublish, table: str, order: str = "movie_id") -> dict[int, NDArray]:
    """The movies of the users looked at, in this order."""
    found = data.tables.execute(
        f"select user_id, list(movie_id order by {order}) from {table} "
        "semi join looked_at using (user_id) group by user_id"
    )
    return {user: np.array(movies, np.int32) for user, movies in found.fetchall()}


def of_tonight(run: Run, models: Models, user_ids: NDArray[np.int32]) -> Factors:
    """What ranks, with rows of tonight for these users."""
    rating, order = models.rating.factors, models.order
    known = None
    if rests_on_histories(rating, order.version if order else None):
        known = Known.of(run).among(user_ids)
        if can_fold_in(rating):
            told = known.histories, known.user_ids_U, known.movie_ids_M
            rating = with_folded_in(rating, *told)
    return ranking_model(run, rating, models, known)


def scores(ranking: Factors, user_id: int, movie_ids_N: NDArray[np.integer]) -> NDArray[np.float32]:
    """Of a user and movies, as they stand in the table."""
    user, movie_N = ranking.user_idx(np.array([user_id])), ranking.movie_idx(movie_ids_N)
    if not is_trained(user, ranking.user_trained_U)[0]:
        return ranking.popular_M[movie_N]
    row_NK = ranking.movie_MK[movie_N].astype(np.float64)
    score_N = row_NK @ ranking.user_UK[user[0]].astype(np.float64) + ranking.movie_bias_M[movie_N]
    return (score_N + float(ranking.user_bias_U[user[0]]) + ranking.mean).astype(np.float32)


def shares(genre_NG: Bool) -> Double:
    """The share of each genre among movies; zeros where none has one."""
    return each_share(genre_NG).sum(0) / max(1, genre_NG.any(1).sum())


def each_share(genre_NG: Bool) -> Double:
    """One for each movie, in equal parts of its genres; zeros of one without any."""
    return genre_NG / genre_NG.sum(1, keepdims=True).clip(1)


@dataclass(frozen=True)
class Choice:
    """The N movies that may stand on a user's list, best first, and what the list is chosen for."""

    movie_ids_N: NDArray[np.integer]
    score_N: NDArray[np.float32]
    genre_NG: Bool
    history_G: Double
    settings: ScoreSettings

    def relevance(self, size: int) -> Double:
        """From 0 of the least of the best `size` to 1 of the best, below 0 beyond."""
        score_N = self.score_N.astype(np.float64)
        best, least = score_N[0], score_N[min(size, len(score_N)) - 1]
        return (score_N - least) / ((best - least) or 1)

    def fits(self, listed: list[int]) -> Bool:
        """Which movies may follow those at these places."""
        fits_N = np.ones(len(self.movie_ids_N), bool)
        if cap := self.settings.genre_cap:
            full_G = self.genre_NG[listed].sum(0) >= cap
            fits_N = ~self.genre_NG[:, full_G].any(1)
        fits_N[listed] = False
        return fits_N

    def similarity(self, some: NDArray[np.integer], place: int) -> Double:
        """Jaccard's, of some movies and the one at a place."""
        both_S = (self.genre_NG[some] & self.genre_NG[place]).sum(1)
        either_S = (self.genre_NG[some] | self.genre_NG[place]).sum(1)
        return np.where(either_S, both_S / either_S.clip(1), 1)

    def divergence(self, some: NDArray[np.integer], listed: list[int]) -> Double:
        """Of the list with each of some movies from the history, in nats."""
        told_SG, some_SG = self.genre_NG[listed], self.genre_NG[some]
        count_S = told_SG.any(1).sum() + some_SG.any(1)
        sum_SG = each_share(told_SG).sum(0) + each_share(some_SG)
        list_SG = sum_SG / count_S.clip(1)[:, None]
        rated = np.flatnonzero(self.history_G)
        history_R = self.history_G[rated]
        mixed_SR = (1 - SMOOTHING) * list_SG[:, rated] + SMOOTHING * history_R
        return (history_R * np.log(history_R / mixed_SR)).sum(1)

    def first_mistake(self, movie_ids: list[int]) -> tuple[int, int] | None:
        """The first movie of a list in the place of a better one, and that; None: there is none.

        What lies at the pool's end, where rounding decides, is held against nobody.
        """
        assert self.settings.top_k != "all"
        size = pool_of(self.settings.top_k)
        relevance_N = self.relevance(size)
        pool = np.flatnonzero(relevance_N >= -TOLERANCE)
        sure_N = (np.abs(relevance_N) > TOLERANCE) | (len(relevance_N) <= size)
        d, c = self.settings.diversity, self.settings.calibration
        place_of = {movie: place for place, movie in enumerate(self.movie_ids_N.tolist())}
        listed: list[int] = []
        nearest = np.zeros(len(pool))
        for movie in movie_ids:
            fits_N = self.fits(listed)
            if (place := place_of.get(movie)) is None or not fits_N[place]:
                return movie, int(self.movie_ids_N[fits_N.argmax()])
            value_N = relevance_N - BELOW
            value_N[pool] = (1 - d - c) * relevance_N[pool] - d * nearest
            if c:
                value_N[pool] -= c * self.divergence(pool, listed)
            better_N = fits_N & sure_N & (value_N > value_N[place] + TOLERANCE)
            if better_N.any():
                return movie, int(self.movie_ids_N[np.where(better_N, value_N, -np.inf).argmax()])
            listed.append(place)
            nearest = np.maximum(nearest, self.similarity(pool, place))
        return None
