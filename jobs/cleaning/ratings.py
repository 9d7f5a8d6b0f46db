"""Ratings from lines; of repeated ones the newest counts."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.cleaning.lines import digits, first_reason, not_an_id, unusable, with_fields
from jobs.release.layouts import Layout


def parse_ratings(lines: DataFrame, layout: Layout) -> DataFrame:
    """user_id, movie_id, rating, timestamp (seconds), and `reason`, beside the line itself."""
    low, high = layout.rating_range
    steps = [layout.rating_step * n for n in range(1, round(high / layout.rating_step) + 1)]
    usual = F.col("rating").isin([f"{step:g}" for step in steps] + [f"{step}" for step in steps])
    number = F.when(
        usual | F.col("rating").rlike(r"^[0-9]+(\.[0-9]+)?$"), F.col("rating").try_cast("double")
    )
    # Numbers are columns before anything asks for them, so that each is read once.
    rows = with_fields(lines, layout.ratings).select(
        "*",
        digits("user_id", "int").alias("user"),
        digits("movie_id", "int").alias("movie"),
        number.alias("number"),
        digits("timestamp", "bigint").alias("seconds"),
    )
    on_scale = F.col("number").between(low, high) & (F.col("number") % layout.rating_step == 0)
    scale = f"{low:g} to {high:g} in steps of {layout.rating_step:g}"
    reason = first_reason(
        not_an_id("user_id", F.col("user")),
        not_an_id("movie_id", F.col("movie")),
        F.when(~F.coalesce(on_scale, F.lit(False)), unusable("rating", scale)),
        # Ten digits end in the year 2286; what is longer is no time in seconds.
        F.when(F.col("seconds").isNull(), unusable("timestamp", "seconds since 1970")),
    )
    return rows.select(
        "content",
        "block",
        "position",
        reason.alias("reason"),
        F.col("user").alias("user_id"),
        F.col("movie").alias("movie_id"),
        F.col("number").cast("float").alias("rating"),
        F.col("seconds").alias("timestamp"),
    )


def refuse_unknown_movies(ratings: DataFrame, movie_index: DataFrame, layout: Layout) -> DataFrame:
    """Add movie_idx; ratings of movies without one get a reason: nobody could name such a movie."""
    known = movie_index.select("movie_id", "movie_idx")
    joined = ratings.join(F.broadcast(known), "movie_id", "left")
    unknown = F.when(
        F.col("movie_idx").isNull(),
        F.concat(F.lit("movie_id "), F.col("movie_id"), F.lit(f" is not in {layout.movies.file}")),
    )
    return joined.withColumn("reason", F.coalesce("reason", unknown))


def with_time(ratings: DataFrame, ds: date) -> DataFrame:
    """Add rated_at: null where the timestamp is 0, or later than the day after the run's date.

    The run's date, and not the clock, so that the same run gives the same times.
    """
    end = (ds.toordinal() - date(1970, 1, 1).toordinal() + 2) * 86_400
    known = (F.col("timestamp") > 0) & (F.col("timestamp") < end)
    return ratings.withColumn("rated_at", F.when(known, F.timestamp_seconds("timestamp")))


def newest(ratings: DataFrame) -> DataFrame:
    """One rating per user and movie: the newest by rated_at; of equally old ones the last line."""
    order = Window.partitionBy("user_id", "movie_id").orderBy(
        F.desc_nulls_last("rated_at"), F.desc("block"), F.desc("position")
    )
    ranked = ratings.withColumn("newest", F.row_number().over(order) == 1)
    return ranked.filter("newest").drop("newest")
