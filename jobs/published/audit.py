"""What must hold of a run's recommendations before anybody may read them.

All checks are made in one pass, on one record per user. A check is a column of the records: an
example of what breaks it, or null.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import or_

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.runs.errors import JobError


@dataclass(frozen=True)
class ToPublish:
    """What is about to be published, and what it is checked against."""

    recommendations: DataFrame
    ratings: DataFrame
    users: DataFrame
    ds: date
    top_k: int | None
    """None: every scored pair."""
    movie_ids: NDArray[np.int32]
    """All that could be recommended: what the filters leave and the model knows."""
    candidates: DataFrame | None
    """Of schemas.CANDIDATES: the users who have a list of their own, and its movies. None: none."""
    rating_range: tuple[float, float]
    order_version: str | None = None
    """What ordered the movies; None: predicted ratings did."""


# Columns of recommendations that may be null.
NULLABLE = ("order_version", "rating_sd")
# That the right rows say so, jobs/scoring/folded_check.py looks at.
SOURCES = ("model", "popular", "folded_in")


def bad_rows(data: ToPublish) -> dict[str, Column]:
    """Whether a single row breaks a check; `allowed` is null where the movie must not be there."""
    low, high = data.rating_range
    told = [name for name in data.recommendations.columns if name not in NULLABLE]
    missing = [F.col(f"row.{name}").isNull() for name in told]
    on_scale = F.col("row.predicted_rating").between(low, high)
    return {
        "missing_value": reduce(or_, missing, F.isnan("row.predicted_rating")),
        "other_date": F.col("row.ds") != F.lit(data.ds),
        "other_order": ~F.col("row.order_version").eqNullSafe(F.lit(data.order_version)),
        "filtered_out": F.col("allowed").isNull(),
        "no_deviation": (F.col("row.rating_sd") <= 0) | F.isnan("row.rating_sd"),
        "off_scale": ~(on_scale & F.col("row.source").isin(*SOURCES)),
    }


def records(data: ToPublish) -> DataFrame:
    """A record per user: of everybody who should have rows, or has some, or has rated.

    `known`: null for users who should have no rows. `rows`, by rank, and of each of bad_rows an
    example. `rated`: all movies that the user has rated; `rated_allowed`: how many of them could
    be recommended. `has_list`, and `listed`: the movies of the user's list that could be.
    """
    yes = F.lit(True)
    row = F.struct(*data.recommendations.columns)
    sources = [
        data.recommendations.select("user_id", "movie_id", row.alias("row")),
        data.ratings.select("user_id", "movie_id", yes.alias("is_rated")),
        data.users.select("user_id", yes.alias("known")),
    ]
    if data.candidates is not None:
        sources.append(data.candidates.select("user_id", "movie_id", yes.alias("is_listed")))
    pairs = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), sources)
    movies = pairs.sparkSession.createDataFrame(
        pd.DataFrame({"movie_id": data.movie_ids}), "movie_id int"
    )
    pairs = pairs.join(F.broadcast(movies.withColumn("allowed", yes)), "movie_id", "left")
    # By user, so that one user's rows are held at a time, and not tables of many users': that is
    # so with spark.sql.execution.replaceHashWithSortAgg, which stands in conf/spark.
    pairs = pairs.repartition("user_id").sortWithinPartitions("user_id")
    is_listed = F.lit(False) if data.candidates is None else F.col("is_listed")
    return pairs.groupBy("user_id").agg(
        F.max("known").alias("known"),
        # Of one date and user, rows sort by rank.
        F.sort_array(F.collect_list("row")).alias("rows"),
        *(
            F.first(F.when(bad, F.col("row")), ignorenulls=True).alias(name)
            for name, bad in bad_rows(data).items()
        ),
        F.collect_list(F.when(F.col("is_rated"), F.col("movie_id"))).alias("rated"),
        F.count(F.col("is_rated") & F.col("allowed")).alias("rated_allowed"),
        F.max(is_listed).alias("has_list"),
        F.collect_list(F.when(is_listed & F.col("allowed"), F.col("movie_id"))).alias("listed"),
    )


def wrong_count(data: ToPublish) -> Column:
    """A user, all of whom must be there, with fewer or more rows than top_k and what is left allow.

    Left are the movies that could be recommended, of a user's list if there is one, less the rated.
    """
    rows, rated = F.size("rows"), F.col("rated_allowed")
    of_list = F.size(F.array_except("listed", "rated"))
    left = F.when(F.col("has_list"), of_list).otherwise(len(data.movie_ids) - rated)
    wanted = left if data.top_k is None else F.least(left, F.lit(data.top_k))
    counts = F.struct("user_id", rows.alias("rows"), rated.alias("rated"), left.alias("left"))
    return F.when(F.col("known") & (rows != wanted), counts)


def broken_ranks() -> Column:
    """A user whose ranks are not 1, 2, ... up to their number of rows, or repeat a movie."""
    ranks, rows = F.col("rows.rank"), F.size("rows")
    movies = F.size(F.array_distinct("rows.movie_id"))
    counts = F.struct(
        "user_id",
        F.array_min(ranks).alias("first"),
        F.array_max(ranks).alias("last"),
        rows.alias("rows"),
        F.size(F.array_distinct(ranks)).alias("ranks"),
        movies.alias("movies"),
    )
    whole = (ranks == F.sequence(F.lit(1), rows)) & (movies == rows)
    return F.when((rows > 0) & ~whole, counts)


def wrong_order() -> Column:
    """A row with a higher ranking score than the one ranked above it."""

    def is_higher(row: Column, position: Column) -> Column:
        # There is none above the first: a null, and no finding.
        return row["ranking_score"] > F.get("rows", position - 1)["ranking_score"]

    return F.get(F.filter("rows", is_higher), F.lit(0))


def with_movie(movie_ids: Column) -> Column:
    """The first of a user's rows with one of these movies."""
    rows = F.filter("rows", lambda row: F.array_contains(movie_ids, row["movie_id"]))
    # Nearly always there are none, and nothing to be looked for.
    return F.when(F.size(movie_ids) > 0, F.get(rows, F.lit(0)))


def checks(data: ToPublish) -> dict[str, Column]:
    """What must hold, and an example of a user of whom it does not; the most basic comes first."""
    movie_ids = F.col("rows.movie_id")
    return {
        "no value is missing": F.col("missing_value"),
        "every row is of the run's date": F.col("other_date"),
        # Of somebody who has only rated, there is no row to show.
        "every user is known": F.when(F.col("known").isNull(), F.get("rows", F.lit(0))),
        "every user has the rows that top_k asks for": wrong_count(data),
        "ranks run from 1 without gaps, each with another movie": broken_ranks(),
        "higher scores rank higher": wrong_order(),
        "every row says what ordered it": F.col("other_order"),
        "no recommended movie is filtered out, blocked or new": F.col("filtered_out"),
        "users with a list get movies of their list": F.when(
            F.col("has_list"), with_movie(F.array_except(movie_ids, "listed"))
        ),
        "no recommended movie was rated by the user": with_movie(
            F.array_intersect(movie_ids, "rated")
        ),
        "predicted ratings lie on the scale": F.col("off_scale"),
        "deviations of ratings are above 0": F.col("no_deviation"),
    }


def audit(data: ToPublish) -> list[str]:
    """Make all checks; returns their names. Raises JobError with the first that fails."""
    examples = [
        F.first(found, ignorenulls=True).alias(name) for name, found in checks(data).items()
    ]
    [found] = records(data).agg(*examples).collect()
    for name, example in found.asDict().items():
        if example is not None:
            raise JobError(f"Audit failed, nothing was published: {name}. Example: {example}.")
    return list(found.asDict())
