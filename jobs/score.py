"""Score every movie that a user has not rated, for every user, and keep the best.

    nightreel score --run-id <run>

Reads the `Factors` of the run's own version if it was good enough, else of the champion, and each
user's rated movies; writes `scored`: the rows of the recommendations table, partitioned by ds as
the table is. Never a rated movie, whatever its split; never a movie without a training rating,
whose weights are untrained.
Movies are ranked by unclipped score, so that the best do not all tie at the top of the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import registry, schemas
from jobs.arguments import run_of, step_arguments
from jobs.command import run_command
from jobs.errors import JobError
from jobs.row_groups import write_by_user
from jobs.run import Run
from jobs.spark import spark_session
from model.factors import load_factors
from model.ranking import Ranker

Blocks = Iterable[pd.DataFrame]


def score_block(ranker: Ranker, users: pd.DataFrame, top_k: int | None) -> pd.DataFrame:
    """Rows of schemas.RATED in, rows of schemas.SCORED out."""
    factors = ranker.factors
    user_ids = users["user_id"].to_numpy()
    # The model may be older than the ratings, so its row numbers are looked up by id.
    user_idx = factors.user_idx(user_ids)
    rated = [factors.movie_idx(movie_ids) for movie_ids in users["movie_ids"]]
    ranked = ranker.top_k(user_idx, rated, top_k)
    return pd.DataFrame(
        {
            "user_id": user_ids[ranked.row_R],
            "rank": ranked.rank_R,
            "movie_id": factors.movie_ids_M[ranked.movie_idx_R],
            "predicted_rating": ranked.score_R.clip(factors.rating_min, factors.rating_max),
            "source": factors.source(user_idx[ranked.row_R], ranked.movie_idx_R),
        }
    )


def scorer(
    folder: str, movie_ids: np.ndarray, top_k: int | None, users_per_block: int
) -> Callable[[Blocks], Blocks]:
    """The function for mapInPandas, which scores block by block to bound the memory."""
    if top_k is None:
        # Every pair is ordered and returned, at about 150 bytes: 150 MB a block.
        users_per_block = max(1, 1_000_000 // max(1, len(movie_ids)))

    def score(batches: Blocks) -> Blocks:
        # Spark runs one worker per core: more threads would fight one another.
        torch.set_num_threads(1)
        ranker = Ranker(load_factors(Path(folder)), movie_ids)
        for batch in batches:
            for start in range(0, len(batch), users_per_block):
                yield score_block(ranker, batch.iloc[start : start + users_per_block], top_k)

    return score


def recommendations(scored: DataFrame, movies: DataFrame, run: Run, version: str) -> DataFrame:
    """schemas.RECOMMENDATIONS: titles added, and what tells this run's rows from others'."""
    titles = F.broadcast(movies.select("movie_id", "title"))
    return scored.join(titles, "movie_id").select(
        F.lit(run.ds).cast("date").alias("ds"),
        "user_id",
        "rank",
        "movie_id",
        "title",
        "predicted_rating",
        "source",
        F.lit(version).alias("model_version"),
        F.lit(run.run_id).alias("run_id"),
    )


def chosen(rated: DataFrame, user_ids: list[int], release: str) -> DataFrame:
    """The rows of these users. Raises JobError, naming them, if some are unknown."""
    rows = rated.filter(F.col("user_id").isin(user_ids))
    unknown = set(user_ids) - {row.user_id for row in rows.select("user_id").collect()}
    if unknown:
        raise JobError(f"Release {release} has no user {', '.join(map(str, sorted(unknown)))}.")
    return rows


def score(spark: SparkSession, run: Run, version: str) -> dict[str, int | str]:
    """Score all users with a version; returns the figures of the step."""
    folder = registry.factors_folder(run.conf, run.warehouse, run.release, version)
    movies = spark.read.schema(schemas.MOVIES).parquet(str(run.data("movies")))
    rated = spark.read.schema(schemas.RATED).parquet(str(run.data("rated")))
    if run.users is not None:
        rated = chosen(rated, run.users, run.release)
    movie_ids = np.array([row.movie_id for row in movies.select("movie_id").collect()])
    settings = run.conf.score
    top_k = None if settings.top_k == "all" else settings.top_k
    users = rated.repartitionByRange(2 * spark.sparkContext.defaultParallelism, "user_id")
    users = users.sortWithinPartitions("user_id")
    scored = users.mapInPandas(
        scorer(str(folder), movie_ids, top_k, settings.users_per_block), schemas.SCORED
    )
    target = run.output("scored")
    write_by_user(recommendations(scored, movies, run, version), target)
    return {
        "model_version": version,
        "users": users.count(),
        "movies_scored": len(Ranker(load_factors(folder), movie_ids).movie_idx_C),
        "rows": spark.read.parquet(str(target)).count(),
    }


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("score") as figures:
        version = run.model_version
        if version is None:
            raise JobError(
                f"No model to score with: {run.record('evaluate')['reason']}, and release "
                f"{run.release} has no champion yet. Change the settings of train and run again."
            )
        figures.update(score(spark_session("score", run.staging), run, version))


if __name__ == "__main__":
    run_command(main)
