"""All users and movies of a run, and the row numbers that they have in Factors."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.schemas import USERS, columns_of


def with_index(rows: DataFrame, entity: str) -> DataFrame:
    """Add <entity>_idx: the place of <entity>_id among all ids, from 0. One partition, in order."""
    order = Window.orderBy(f"{entity}_id")
    return rows.withColumn(f"{entity}_idx", F.row_number().over(order) - 1)


def all_users(profiles: DataFrame | None, ratings: DataFrame) -> DataFrame:
    """schemas.USERS and has_rated: everybody with a profile or a rating; unknown details are null.

    `profiles` holds one row per user, or is None where the delivery has no such file.
    """
    raters = ratings.select("user_id").distinct().withColumn("has_rated", F.lit(True))
    if profiles is None:
        blank = [f"cast(null as {kind}) {name}" for name, kind in columns_of(USERS).items()][1:]
        return raters.selectExpr("user_id", *blank, "has_rated")
    # Both in one partition, as with_index needs them: then the join exchanges nothing.
    everybody = raters.repartition(1).join(profiles.coalesce(1), "user_id", "full")
    return everybody.withColumn("has_rated", F.coalesce("has_rated", F.lit(False)))
