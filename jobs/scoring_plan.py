"""What a run has to score: which movies, which users, and whose rows it takes over instead.

Worked out before anything is scored or written, from the run's data, settings, model and base.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import registry
from jobs.base_run import basis, usable_base
from jobs.errors import JobError
from jobs.filters import allowed_movies, trained_movies
from jobs.run import Run
from jobs.unchanged import rows_of, unchanged, users_of
from model.damping import damped
from model.factors import load_factors


@dataclass(frozen=True)
class ScoringPlan:
    """All that scoring a run needs to know."""

    model: Path
    """The `Factors` that predict ratings."""
    ranking: Path
    """The `Factors` that movies are ranked by: the same, unless they are damped."""
    movie_ids: NDArray[np.int32]
    """The movies that may be recommended, ascending."""
    users: DataFrame
    """The users to score: user_id, movie_ids (rated), candidates (null: all of `movie_ids`)."""
    kept: DataFrame | None
    """Rows of schemas.SCORED of the other users, taken over from the base run."""
    figures: dict[str, Any] = field(default_factory=dict)
    """What the step records of this."""


def plan_scoring(spark: SparkSession, run: Run, version: str) -> ScoringPlan:
    """Apply the filters, find the users for whom nothing has changed, and damp the model.

    Raises JobError if the run cannot be scored as its settings say.
    """
    model = registry.factors_folder(run.conf, run.warehouse, run.release, version)
    movie_ids, counts = movies_to_rank(run, model, version)
    users = users_of(spark, run)
    if run.users is not None:
        users = chosen(users, run.users, run.release)
    now = basis(run, version, model, movie_ids)
    why_none = run.record(run.steps()[0])["why_base"]
    base, why_all = usable_base(run, now, why_none)
    kept, number, same_number = None, users.count(), 0
    if base:
        same = unchanged(users, users_of(spark, base)).cache()
        same_number = same.count()
        users = users.join(same, "user_id", "left_anti")
        kept = rows_of(spark, base, same)
    figures = {
        "model_version": version,
        "users": number,
        "users_scored": number - same_number,
        "users_kept": same_number,
        "base_run": base and base.run_id,
        "why_all": why_all,
        "basis": now,
        **counts,
    }
    ranking = damped_folder(run, model, version)
    return ScoringPlan(model, ranking, movie_ids, users, kept, figures)


def movies_to_rank(run: Run, model: Path, version: str) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """The movies that may be recommended, and how many each filter and the model took away."""
    left = allowed_movies(run)
    movie_ids = trained_movies(load_factors(model), left.movie_ids)
    if not len(movie_ids):
        raise JobError(
            f"Model version {version} knows none of the {len(left.movie_ids):,} movies that the "
            "filters leave. Train a new one, or loosen the filters."
        )
    counts = {
        "movies": left.catalogue,
        "filtered": left.removed,
        "movies_new": len(left.movie_ids) - len(movie_ids),
        "movies_scored": len(movie_ids),
    }
    return movie_ids, counts


def chosen(users: DataFrame, user_ids: list[int], release: str) -> DataFrame:
    """The rows of these users. Raises JobError, naming them, if some are unknown."""
    rows = users.filter(F.col("user_id").isin(user_ids))
    unknown = set(user_ids) - {row.user_id for row in rows.select("user_id").collect()}
    if unknown:
        raise JobError(f"Release {release} has no user {', '.join(map(str, sorted(unknown)))}.")
    return rows


def damped_folder(run: Run, model: Path, version: str) -> Path:
    """The folder of the `Factors` to rank by, written to the run's scratch if they are damped."""
    damping = run.conf.score.damping
    if damping == 0:
        return model
    folder = run.staging / "ranking"
    try:
        damped(load_factors(model), damping).save(folder)
    except ValueError as error:
        raise JobError(
            f"score.damping is {damping:g}, but model version {version} cannot be damped: {error}. "
            "Train a new one, or set score.damping=0."
        ) from None
    return folder
