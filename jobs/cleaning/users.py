"""Users from lines, and those whom only ratings name."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.cleaning.lines import (
    digits,
    first_reason,
    not_an_id,
    refuse_repeated,
    with_fields,
    without_controls,
)
from jobs.release.layouts import Table
from jobs.runs.schemas import USERS, columns_of

# The README of ml-1m: a user's occupation is a number from 0 to 20.
OCCUPATIONS = [
    "other or not specified",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
]


def parse_users(lines: DataFrame, table: Table) -> DataFrame:
    """user_id, gender, age, occupation, zip_code, and `reason`. The first line of an id counts."""
    user_id = digits("user_id", "int")
    names = F.array(*(F.lit(name) for name in OCCUPATIONS))
    # A number in ml-1m, a name in ml-100k.
    code = F.col("occupation").try_cast("int")
    name = F.when(code.isNull() & (F.col("occupation") != ""), F.col("occupation"))
    users = with_fields(lines, table).select(
        "content",
        "block",
        "position",
        first_reason(not_an_id("user_id", "int", user_id)).alias("reason"),
        user_id.alias("user_id"),
        without_controls(F.col("gender")).alias("gender"),
        F.col("age").try_cast("int").alias("age"),
        F.coalesce(F.get(names, code), without_controls(name)).alias("occupation"),
        without_controls(F.col("zip_code")).alias("zip_code"),
    )
    return refuse_repeated(users, "user_id", "user_id")


def all_users(profiles: DataFrame | None, ratings: DataFrame) -> DataFrame:
    """schemas.USERS and has_rated: everybody with a profile or a rating; unknown details are null.

    `profiles` holds one row per user, or is None where the delivery has no such file.
    """
    ids = [name for name in ("user_id", "source_user_id") if name in ratings.columns]
    raters = ratings.select(*ids).distinct().withColumn("has_rated", F.lit(True))
    known = raters if profiles is None else profiles
    blank = {name: kind for name, kind in columns_of(USERS).items() if name not in known.columns}
    nulls = [f"cast(null as {kind}) {name}" for name, kind in blank.items()]
    if profiles is None:
        return raters.selectExpr("*", *nulls)
    profiles = profiles.selectExpr("*", *nulls)
    # Both in one partition, as with_index needs them: then the join exchanges nothing.
    everybody = raters.repartition(1).join(profiles.coalesce(1), "user_id", "full")
    return everybody.withColumn("has_rated", F.coalesce("has_rated", F.lit(False)))
