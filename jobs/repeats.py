"""When a rating was given, and which of several by one user of one movie counts."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


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
