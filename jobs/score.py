"""Score every movie that a user has not rated, for every user, and keep the best.

    nightreel score --run-id <run>

Reads the `Factors` of the run's own version if it was good enough, else of the champion, and each
user's rated movies; writes `scored`: the rows of the recommendations table, partitioned by ds as
the table is. Never a rated movie, whatever its split; never a movie without a training rating,
whose weights are untrained; never one that the filters of `score` in conf take away.
Movies are ranked by unclipped score, damped by score.damping, so that the best do not all tie at
the top of the scale. With score.mode=incremental, users for whom nothing has changed since the
newest published run keep its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import torch
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import schemas
from jobs.arguments import run_of, step_arguments
from jobs.command import run_command
from jobs.errors import JobError
from jobs.run import Run
from jobs.scored_rows import list_scorer, load_both, scored_rows
from jobs.scoring_plan import ScoringPlan, plan_scoring
from jobs.spark import spark_session
from model.factors import Factors
from model.ranking import Ranker

Blocks = Iterable[pd.DataFrame]


def score_block(
    ranker: Ranker, model: Factors, users: pd.DataFrame, top_k: int | None
) -> pd.DataFrame:
    """Rows of schemas.RATED in, rows of schemas.SCORED out; `model` predicts the ratings."""
    user_ids = users["user_id"].to_numpy()
    # The model may be older than the ratings, so its row numbers are looked up by id.
    user_idx = model.user_idx(user_ids)
    rated = [model.movie_idx(movie_ids) for movie_ids in users["movie_ids"]]
    ranked = ranker.top_k(user_idx, rated, top_k)
    return scored_rows(ranked, user_ids, user_idx, ranker.factors, model)


def scorer(
    plan: ScoringPlan, top_k: int | None, users_per_block: int
) -> Callable[[Blocks], Blocks]:
    """The function for mapInPandas, which scores block by block to bound the memory."""
    folders, movie_ids = (plan.ranking, plan.model), plan.movie_ids
    if top_k is None:
        # Every pair is ordered and returned, at about 150 bytes: 150 MB a block.
        users_per_block = max(1, 1_000_000 // max(1, len(movie_ids)))

    def score(batches: Blocks) -> Blocks:
        # Spark runs one worker per core: more threads would fight one another.
        torch.set_num_threads(1)
        ranking, model = load_both(*folders)
        ranker = Ranker(ranking, movie_ids)
        for batch in batches:
            for start in range(0, len(batch), users_per_block):
                yield score_block(ranker, model, batch.iloc[start : start + users_per_block], top_k)

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
        "ranking_score",
    )


def score(spark: SparkSession, run: Run, version: str) -> dict[str, Any]:
    """Score with a version, as the run's settings say; returns the figures of the step."""
    plan = plan_scoring(spark, run, version)
    settings = run.conf.score
    top_k = None if settings.top_k == "all" else settings.top_k
    users = plan.users.repartitionByRange(2 * spark.sparkContext.defaultParallelism, "user_id")
    users = users.sortWithinPartitions("user_id")
    everybody = users.filter("candidates is null").select("user_id", "movie_ids")
    scored = everybody.mapInPandas(scorer(plan, top_k, settings.users_per_block), schemas.SCORED)
    if settings.candidates:
        by_list = list_scorer(plan.ranking, plan.model, plan.movie_ids, top_k)
        listed = users.filter("candidates is not null")
        scored = scored.unionByName(listed.mapInPandas(by_list, schemas.SCORED))
    if plan.kept is not None:
        scored = scored.unionByName(plan.kept)
        scored = scored.repartitionByRange("user_id").sortWithinPartitions("user_id", "rank")
    target = str(run.output("scored"))
    movies = spark.read.schema(schemas.MOVIES).parquet(str(run.data("movies")))
    rows = recommendations(scored, movies, run, version)
    rows.write.mode("overwrite").partitionBy("ds").parquet(target)
    written = spark.read.parquet(target)
    popular = written.filter("source = 'popular'").select("user_id").distinct().count()
    return plan.figures | {"users_popular": popular, "rows": written.count()}


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
