"""What must hold of a run's similar movies before anybody may read them.

The rows are asked in DuckDB, as in jobs/published/audit.py. Similarities are worked out again in
NumPy, from the covariances of scores, while `score` goes by the scoring kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

import duckdb
import numpy as np
from numpy.typing import NDArray

from jobs.published.audit import make_checks
from jobs.runs import schemas
from jobs.runs.errors import JobError
from model.factors import Factors
from model.ranking.likeness import LEAST_SPREAD, NO_IDS, users_compared

# Rows, evenly spaced, whose similarity is worked out again.
ROWS = 20_000
TOLERANCE = 1e-2
RANKED = """
    select movie_id, min(rank) as first, max(rank) as last, count(*) as rows,
        count(distinct rank) as ranks, count(distinct similar_id) as movies
    from similar_movies group by movie_id
"""
SIMILAR = "select * from similar_movies"
# By movie, as many as are asked for, or all that may be named but itself.
COUNTED = f"""
    select movie_id, coalesce(rows, 0) as rows,
        (select count(*) from known semi join nameable using (movie_id))
            - (nameable.movie_id is not null)::integer as others
    from known left join ({RANKED}) using (movie_id)
        left join nameable using (movie_id)
"""
MISSING = " or ".join(
    f"{column} is null" for column in schemas.columns_of(schemas.SIMILAR_MOVIES)
    if column not in schemas.NULLABLE["similar_movies"]
)  # fmt: skip
# By what the clean movies say.
NAMED = """
    select shown.movie_id, similar_id, shown.source_movie_id, source_similar_id
    from similar_movies shown join movies of_movie using (movie_id)
        join movies alike on alike.movie_id = similar_id
    where shown.source_movie_id is distinct from of_movie.source_movie_id
        or source_similar_id is distinct from alike.source_movie_id
"""
CHECKS = {
    "no value of similar movies is missing": f"{SIMILAR} where {MISSING} or isnan(similarity)",
    "similar movies are of the run's date and models": (
        f"{SIMILAR} where ds <> $ds or model_version <> $model_version"
    ),
    "no movie is similar to itself": f"{SIMILAR} where movie_id = similar_id",
    "no similar movie is filtered out, blocked or new": (
        f"{SIMILAR} anti join nameable on similar_id = nameable.movie_id"
    ),
    "similar movies are of the movies that the models know": (
        f"{SIMILAR} anti join known using (movie_id)"
    ),
    "ranks of similar movies run from 1 without gaps, each with another movie": (
        f"from ({RANKED}) where first <> 1 or last <> rows or ranks <> rows or movies <> rows"
    ),
    "similar movies are called as the source calls them": NAMED,
    "more similar movies rank higher": (
        f"{SIMILAR} qualify similarity > lag(similarity) over (partition by movie_id order by rank)"
    ),
    "every movie has as many similar ones as score.similar asks for": (
        f"from ({COUNTED}) where rows <> least(others, $top)"
    ),
}


@dataclass(frozen=True)
class SimilarToPublish:
    """What is about to be published of movies, and what it is checked against."""

    tables: duckdb.DuckDBPyConnection
    """With the views `similar_movies`, and `movies` of the run's data."""
    ds: date
    top: int
    """Similar movies of each movie; 0: none."""
    movie_ids: NDArray[np.int32]
    """All that could be recommended."""
    models: Sequence[Factors]
    """By whose scores movies are alike."""
    model_version: str


def check_similar(data: SimilarToPublish) -> list[str]:
    """Make all checks of similar movies; returns their names.

    Raises JobError with the first that fails.
    """
    every = [scores for scores in map(Scores.of, data.models) if len(scores.known_ids)]
    known_ids = reduce(np.intersect1d, [scores.known_ids for scores in every] or [NO_IDS])
    for name, ids in (("known", known_ids), ("nameable", data.movie_ids)):
        data.tables.execute(
            f"create or replace temp table {name} as "
            "select movie_id from movies semi join (select unnest($ids) as movie_id) "
            "using (movie_id)",
            {"ids": ids},
        )
    values = {"ds": data.ds, "model_version": data.model_version, "top": data.top}
    return [*make_checks(data.tables, CHECKS, values), check_figures(data.tables, every)]


@dataclass(frozen=True)
class Scores:
    """How the scores of M movies vary over the users, but for users' biases."""

    model: Factors
    with_all_MK: NDArray[np.float64]
    """One movie's row here times another's in the model is the covariance of their scores."""
    deviation_M: NDArray[np.float64]

    @classmethod
    def of(cls, model: Factors) -> Scores:
        width = model.user_UK.shape[1]
        user_UK = model.user_UK[users_compared(model)].astype(np.float64)
        covariance_KK = np.cov(user_UK, rowvar=False, ddof=0).reshape(width, width)
        with_all_MK = model.movie_MK @ covariance_KK
        variance_M = np.einsum("mk,mk->m", with_all_MK, model.movie_MK)
        return cls(model, with_all_MK, np.sqrt(variance_M.clip(min=0)))

    @property
    def known_ids(self) -> NDArray[np.integer]:
        """The learned movies whose scores differ from user to user."""
        differs_M = self.deviation_M > LEAST_SPREAD * self.deviation_M.max(initial=0)
        return self.model.movie_ids_M[self.model.movie_trained_M & differs_M]

    def correlation(
        self, one_R: NDArray[np.integer], other_R: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Of the scores of R pairs of movies, given by id."""
        one_R, other_R = self.model.movie_idx(one_R), self.model.movie_idx(other_R)
        covariance_R = np.einsum("rk,rk->r", self.with_all_MK[one_R], self.model.movie_MK[other_R])
        # NaN of a movie whose scores do not differ.
        with np.errstate(invalid="ignore", divide="ignore"):
            return covariance_R / self.deviation_M[one_R] / self.deviation_M[other_R]


def check_figures(tables: duckdb.DuckDBPyConnection, every: Sequence[Scores]) -> str:
    """Work similarities out again; returns the name of the check. Raises JobError if one is off."""
    name = "similarities are correlations of scores"
    nth = f"(select greatest(1, count(*) // {ROWS}) from similar_movies)"
    found = tables.execute(
        "select movie_id, similar_id, similarity from similar_movies "
        f"qualify row_number() over (order by movie_id, rank) % {nth} = 0"
    ).fetchnumpy()
    pairs = found["movie_id"], found["similar_id"]
    wanted_R = np.mean([scores.correlation(*pairs) for scores in every], axis=0)
    off_R = ~(np.abs(found["similarity"] - wanted_R) <= TOLERANCE)
    if off_R.any():
        row = int(off_R.argmax())
        raise JobError(
            f"Audit failed, nothing was published: {name}. Example: "
            f"movie_id={found['movie_id'][row]}, similar_id={found['similar_id'][row]}, "
            f"similarity={found['similarity'][row]}, and not {wanted_R[row]:.4f}."
        )
    return name
