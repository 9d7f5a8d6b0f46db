"""Users whose recommendations are as they were in an earlier run, and their rows there."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import schemas
from jobs.run import Run

SCORED = list(schemas.columns_of(schemas.SCORED))


def candidates_of(spark: SparkSession, run: Run) -> DataFrame:
    """schemas.CANDIDATES of a run: no rows if it has no lists."""
    if not run.conf.score.candidates:
        return spark.createDataFrame([], schemas.CANDIDATES)
    return spark.read.schema(schemas.CANDIDATES).parquet(str(run.output("candidates")))


def users_of(spark: SparkSession, run: Run) -> DataFrame:
    """One row per user of a run's data: user_id, movie_ids (rated), candidates.

    `candidates` is the user's own list, in order, or null where the user has none.
    """
    rated = spark.read.schema(schemas.RATED).parquet(str(run.data("rated")))
    listed = F.sort_array(F.collect_list("movie_id")).alias("candidates")
    lists = candidates_of(spark, run).groupBy("user_id").agg(listed)
    return rated.join(lists, "user_id", "left")


def unchanged(users: DataFrame, before: DataFrame) -> DataFrame:
    """The `user_id`s of users who had the same rated movies and the same list before."""
    then = before.select(
        "user_id",
        F.col("movie_ids").alias("movie_ids_before"),
        F.col("candidates").alias("candidates_before"),
    )
    same = F.col("movie_ids") == F.col("movie_ids_before")
    same_list = F.col("candidates").eqNullSafe(F.col("candidates_before"))
    return users.join(then, "user_id").filter(same & same_list).select("user_id")


def rows_of(spark: SparkSession, base: Run, user_ids: DataFrame) -> DataFrame:
    """schemas.SCORED: what a run recommended to these users."""
    rows = spark.read.schema(schemas.RECOMMENDATIONS).parquet(str(base.output("scored")))
    return rows.join(user_ids, "user_id", "left_semi").select(*SCORED)
