"""Each user's ratings in time order, as models of order read them: schemas.HISTORIES.

Their split is another one than that of the ratings: jobs/cleaning/order_splits.py has its rules.
"""

from __future__ import annotations

from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.cleaning.model_inputs import with_seconds
from jobs.cleaning.order_splits import (
    TEST,
    TRAIN,
    UNKNOWN,
    VALIDATION,
    Deal,
    cuts,
    leave_last_out,
    next_visit,
    time_cut,
)
from jobs.runs.errors import JobError
from jobs.runs.settings.cleaning import EtlSettings


def histories(ratings: DataFrame, split: str, settings: EtlSettings) -> DataFrame:
    """schemas.HISTORIES, by user_idx, dealt by one of the splits that etl.order_split names.

    `ratings` holds user_id, user_idx, movie_idx, rating and rated_at, all rows of a user in one
    partition, and users in order.
    """
    deal = dealing(ratings, split, settings)
    # Rows are sorted before they are gathered: Spark sorts rows much faster than structs in a list.
    ordered = with_seconds(ratings).sortWithinPartitions("user_id", "rated_at", "movie_idx")
    lists = ordered.groupBy("user_id").agg(
        F.first("user_idx").alias("user_idx"),
        F.collect_list("movie_idx").alias("movie_idx"),
        F.collect_list("rating").alias("rating"),
        F.collect_list("rated_at").alias("at"),
    )
    validation, test, length = F.col("validation_from"), F.col("test_from"), F.size("at")
    parts = {TRAIN: validation, VALIDATION: test - validation, TEST: length - test}
    known = F.transform("at", lambda at: F.nullif(at, F.lit(UNKNOWN).cast("bigint")))
    return deal(lists).select(
        "user_idx",
        "movie_idx",
        "rating",
        known.alias("rated_at"),
        F.concat(*(repeated(part, count) for part, count in parts.items())).alias("split"),
    )


def repeated(part: int, count: Column) -> Column:
    return F.array_repeat(F.lit(part).cast("tinyint"), count)


def takes_part(split: int) -> Column:
    """Whether a user has ratings of a split, and earlier ones to know the user by."""
    wanted = F.array_contains("split", F.lit(split).cast("tinyint"))
    return wanted & (F.element_at("split", 1) < split)


def dealing(ratings: DataFrame, split: str, settings: EtlSettings) -> Deal:
    """How a split deals histories; a cut in time is looked for among all ratings that have one."""
    if split == "leave-last-out":
        return leave_last_out
    if split == "next-visit":
        return partial(next_visit, gap=60 * settings.visit_gap_minutes)
    dated = ratings.filter("rated_at is not null").groupBy(F.unix_seconds("rated_at").alias("at"))
    found = dated.count().toArrow().sort_by("at")
    seconds, counts = found["at"].to_numpy(), found["count"].to_numpy()
    if not len(seconds):
        raise JobError("etl.order_split is time, and no rating has one. Set it to leave-last-out.")
    held = settings.validation_share + settings.test_share
    at = cuts(seconds, counts, 1 - held, settings.test_share or settings.validation_share)
    return partial(time_cut, validation_from=at[0], test_from=at[1])
