"""The model of ratings with rows of what is published, as `score` has made them."""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from jobs.runs.schemas import DESCRIBED
from model.data.histories import TRAIN, UNKNOWN, Histories
from model.data.movie_content import CatalogueContent
from model.factors import Factors
from model.fold_in import can_fold_in, with_folded_in
from model.new_movies import new_movies, with_new_movies


def of_published(
    version: Factors,
    connection: duckdb.DuckDBPyConnection,
    movie_ids: NDArray[np.integer],
    user: int | None = None,
) -> Factors:
    """A version, with rows of what it has not learned: of these movies, and of one user or all."""
    factors = with_users(version, connection, user)
    unknown = np.unique(movie_ids[version.learned_movies(movie_ids) < 0])
    query = f"select movie_id from movies where {DESCRIBED}"
    wanted = np.intersect1d(unknown, connection.execute(query).fetchnumpy()["movie_id"])
    if not len(wanted):
        return factors
    query = "select movie_id, title, year, genres from movies"
    known = CatalogueContent.of(connection.sql(query).to_arrow_table())
    try:
        new = new_movies(version, known, wanted)
    except ValueError:
        # It has learned none of these movies: others tell nothing of them.
        return factors
    return with_new_movies(factors, new)


def with_users(
    factors: Factors, connection: duckdb.DuckDBPyConnection, user: int | None
) -> Factors:
    """The model, with rows of users who have other published ratings than at its training.

    Of one user, or of all. The model as it is where there are none, or where it cannot make any.
    """
    if not can_fold_in(factors):
        return factors
    chosen = "" if user is None else "where user_id = ?"
    found = connection.execute(
        f"select user_id, movie_id, rating from ratings {chosen} order by user_id, movie_id",
        [] if user is None else [user],
    ).fetchnumpy()
    user_ids_U, first_U = np.unique(found["user_id"], return_index=True)
    movie_ids_M, movie_N = np.unique(found["movie_id"], return_inverse=True)
    count = len(movie_N)
    histories = Histories(
        np.arange(len(user_ids_U), dtype=np.int32),
        np.append(first_U, count).astype(np.int64),
        movie_N.astype(np.int32),
        found["rating"].astype(np.float32),
        np.full(count, UNKNOWN),
        np.full(count, TRAIN, np.int8),
    )
    return with_folded_in(factors, histories, user_ids_U, movie_ids_M)
