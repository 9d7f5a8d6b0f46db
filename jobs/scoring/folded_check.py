"""What must hold of rows that were made tonight: the audit of publish looks, in its own way.

From the clean ratings, where `score` reads histories; and by the other side of the equations, n x n
for n ratings, where model/fold_in.py solves for the row. What score has noted is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from jobs.engines.duck import quoted
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.scoring.models import Models
from jobs.scoring.variants import CHAMPION, output_of
from model.factors import Factors, is_trained
from model.known_ratings import rating_hashes

# Users, evenly spaced among those folded in, whose rows are worked out again.
USERS = 200
# In rating points: rows and biases are rounded to float32.
TOLERANCE = 1e-3
CHECKS = [
    "rows say which were made of tonight's ratings",
    "no deviation is stated of a row of tonight",
    "ratings predicted by rows of tonight are those of the equations",
]


@dataclass(frozen=True)
class Rated:
    """N clean ratings of U users, who ascend."""

    user_ids_U: NDArray[np.int32]
    user_N: NDArray[np.int64]
    """Places among the users."""
    movie_id_N: NDArray[np.int32]
    rating_N: NDArray[np.float32]

    def has(self, factors: Factors) -> NDArray[np.bool_]:
        """Who of the users has rated a movie that a model has learned."""
        return np.bincount(self.user_N[self.learned(factors)], minlength=len(self.user_ids_U)) > 0

    def of(self, place_C: NDArray[np.int64]) -> Rated:
        """The ratings of some of the users, who keep their places."""
        own_N = np.isin(self.user_N, place_C)
        return Rated(
            self.user_ids_U, self.user_N[own_N], self.movie_id_N[own_N], self.rating_N[own_N]
        )

    def learned(self, factors: Factors) -> NDArray[np.bool_]:
        """Which ratings are of movies that a model has learned."""
        return is_trained(factors.movie_idx(self.movie_id_N), factors.movie_trained_M)


def check_folded_in(run: Run, models: Models, variant: str = CHAMPION) -> list[str]:
    """Check the rows of a variant, which these models scored; returns the names of the checks.

    Raises JobError with the first that fails, and an example.
    """
    files = quoted(str(run.output(output_of(run, variant)) / "*" / "*.parquet"))
    tables = duckdb.connect()
    tables.execute(
        f"create view scored as from read_parquet({files}, hive_partitioning = false) "
        f"where variant = {quoted(variant)}"
    )
    users = tables.execute("""
        select user_id, min(source) low, max(source) high,
            count_if(source = 'folded_in' and rating_sd is not null) sure
        from scored where source <> 'content' group by all order by user_id
        """).fetchnumpy()
    rated = clean_ratings(run.data("ratings"), users["user_id"])
    expected_U = expected_source(models, rated)
    low_U, high_U = users["low"].astype(str), users["high"].astype(str)
    wrong = (low_U != expected_U) | (high_U != expected_U)
    if wrong.any():
        at = int(wrong.argmax())
        raise failed(0, users["user_id"][at], f"{low_U[at]}, expected {expected_U[at]}")
    if users["sure"].any():
        raise failed(1, users["user_id"][int(users["sure"].argmax())], "a deviation")
    folded = np.flatnonzero(expected_U == "folded_in")
    chosen = folded[np.unique(np.linspace(0, len(folded) - 1, USERS).astype(int))[: len(folded)]]
    if len(chosen):
        prior = prior_of(models.rating.factors)
        own = rated.of(chosen)
        for place in chosen:
            check_row(tables, models.rating.factors, prior, own, int(place))
    return CHECKS


def clean_ratings(ratings: Path, user_ids_U: NDArray[np.int32]) -> Rated:
    """The clean ratings of users, who ascend."""
    files = quoted(str(ratings / "**" / "*.parquet"))
    found = duckdb.execute(
        f"select user_id, movie_id, rating from read_parquet({files}, hive_partitioning = false)"
    ).fetchnumpy()
    place_N = np.searchsorted(user_ids_U, found["user_id"])
    ours_N = place_N < len(user_ids_U)
    ours_N[ours_N] = user_ids_U[place_N[ours_N]] == found["user_id"][ours_N]
    return Rated(
        user_ids_U,
        place_N[ours_N],
        found["movie_id"][ours_N].astype(np.int32),
        found["rating"][ours_N].astype(np.float32),
    )


def expected_source(models: Models, rated: Rated) -> NDArray[np.str_]:
    """What the rows of each of U users have to rest on."""
    model = models.rating.factors
    idx_U = model.user_idx(rated.user_ids_U)
    fresh_U = np.zeros(len(idx_U), bool)
    if model.known_U is not None and model.noise is not None:
        now_U = np.zeros(len(idx_U), np.uint64)
        np.add.at(now_U, rated.user_N, rating_hashes(rated.movie_id_N, rated.rating_N))
        then_U = np.zeros(len(idx_U), np.uint64)
        then_U[idx_U >= 0] = model.known_U[idx_U[idx_U >= 0]]
        fresh_U = now_U != then_U
    folded_U = fresh_U & rated.has(model)
    if models.order:
        known_U = rated.has(models.order.factors)
    else:
        known_U = np.where(fresh_U, folded_U, is_trained(idx_U, model.user_trained_U))
    return np.where(known_U, np.where(folded_U, "folded_in", "model"), "popular")


def prior_of(model: Factors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance of the rows and biases of the users that a model has learned from."""
    row_UW = np.column_stack([model.user_UK, model.user_bias_U])[model.user_trained_U].astype(float)
    return row_UW.mean(0), np.atleast_2d(np.cov(row_UW.T))


def check_row(
    tables: duckdb.DuckDBPyConnection,
    model: Factors,
    prior: tuple[NDArray[np.float64], NDArray[np.float64]],
    rated: Rated,
    place: int,
) -> None:
    """Raise JobError if a user's predicted ratings are not those of the user's own equations."""
    assert model.noise is not None
    user_id = int(rated.user_ids_U[place])
    query = "select movie_id, predicted_rating from scored where user_id = ?"
    rows = tables.execute(f"{query} and source <> 'content'", [user_id]).fetchnumpy()
    own_N = (rated.user_N == place) & rated.learned(model)
    idx = model.movie_idx(np.concatenate([rated.movie_id_N[own_N], rows["movie_id"]]))
    mean_W, covariance_WW = prior
    movie_PW = np.column_stack([model.movie_MK[idx], np.ones(len(idx))]).astype(float)
    base_P = model.mean + model.movie_bias_M[idx] + movie_PW @ mean_W
    count = int(own_N.sum())
    shared_PN = movie_PW @ covariance_WW @ movie_PW[:count].T
    noise_NN = model.noise * np.eye(count)
    rest_N = np.linalg.solve(shared_PN[:count] + noise_NN, rated.rating_N[own_N] - base_P[:count])
    expected = (base_P + shared_PN @ rest_N)[count:].clip(model.rating_min, model.rating_max)
    apart = np.abs(expected - rows["predicted_rating"])
    if not (apart <= TOLERANCE).all():
        at = int(np.nan_to_num(apart, nan=np.inf).argmax())
        found = f"movie {rows['movie_id'][at]}: {rows['predicted_rating'][at]:.4f}"
        raise failed(2, user_id, f"{found}, expected {expected[at]:.4f}")


def failed(check: int, user_id: int, example: str) -> JobError:
    return JobError(
        f"Audit failed, nothing was published: {CHECKS[check]}. Example: user {user_id}, {example}."
    )
