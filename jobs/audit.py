"""What must hold of a run's recommendations before anybody may read them.

Each check is a function that returns the rows that break it; an empty answer passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.errors import JobError


@dataclass(frozen=True)
class Published:
    """What is about to be published, and what it is checked against."""

    recommendations: DataFrame
    ratings: DataFrame
    users: DataFrame
    ds: date
    top_k: int | None
    """None: every scored pair."""
    movies_scored: int
    """Movies that could be recommended."""
    rating_range: tuple[float, float]


def rated_movies(run: Published) -> DataFrame:
    """Recommended, though the user has rated it."""
    return run.recommendations.join(
        run.ratings.select("user_id", "movie_id"), ["user_id", "movie_id"]
    )


def missing_values(run: Published) -> DataFrame:
    """A null, or a predicted rating that is not a number."""
    bad = F.isnan("predicted_rating")
    for name in run.recommendations.columns:
        bad = bad | F.col(name).isNull()
    return run.recommendations.filter(bad)


def off_scale(run: Published) -> DataFrame:
    """A predicted rating outside the rating scale, or from an unknown source."""
    low, high = run.rating_range
    on_scale = F.col("predicted_rating").between(low, high)
    return run.recommendations.filter(~(on_scale & F.col("source").isin("model", "popular")))


def other_date(run: Published) -> DataFrame:
    """A row of another date than the run's."""
    return run.recommendations.filter(F.col("ds") != F.lit(run.ds))


def broken_ranks(run: Published) -> DataFrame:
    """Users whose ranks are not 1, 2, ... up to their number of rows, or repeat a movie."""
    ranks = run.recommendations.groupBy("user_id").agg(
        F.min("rank").alias("first"),
        F.max("rank").alias("last"),
        F.count("*").alias("rows"),
        F.countDistinct("rank").alias("ranks"),
        F.countDistinct("movie_id").alias("movies"),
    )
    whole = (
        (F.col("first") == 1)
        & (F.col("last") == F.col("rows"))
        & (F.col("ranks") == F.col("rows"))
        & (F.col("movies") == F.col("rows"))
    )
    return ranks.filter(~whole)


def wrong_order(run: Published) -> DataFrame:
    """A row predicted higher than one ranked above it."""
    above = run.recommendations.select(
        "user_id", (F.col("rank") + 1).alias("rank"), F.col("predicted_rating").alias("above")
    )
    return run.recommendations.join(above, ["user_id", "rank"]).filter("predicted_rating > above")


def wrong_count(run: Published) -> DataFrame:
    """Users, all of whom must be there, with fewer or more rows than top_k and their ratings allow.

    A user must get top_k movies, or, having rated nearly all of them, what is left.
    """
    rows = run.recommendations.groupBy("user_id").agg(F.count("*").alias("rows"))
    scorable = run.movies_scored
    rated = run.ratings.groupBy("user_id").agg(F.count("*").alias("rated"))
    counts = (
        run.users.select("user_id").join(rows, "user_id", "left").join(rated, "user_id", "left")
    )
    counts = counts.fillna(0, ["rows", "rated"])
    wanted = F.lit(scorable if run.top_k is None else min(run.top_k, scorable))
    # Some of the rated movies may not be among the scored ones: then more than this is left.
    least = F.least(wanted, F.lit(scorable) - F.col("rated"))
    return counts.filter((F.col("rows") < least) | (F.col("rows") > wanted))


def unknown_users(run: Published) -> DataFrame:
    """Recommendations for nobody."""
    return run.recommendations.join(run.users, "user_id", "left_anti")


CHECKS = {
    "no value is missing": missing_values,
    "every row is of the run's date": other_date,
    "every user is known": unknown_users,
    "every user has the rows that top_k asks for": wrong_count,
    "ranks run from 1 without gaps, each with another movie": broken_ranks,
    "better predictions rank higher": wrong_order,
    "no recommended movie was rated by the user": rated_movies,
    "predicted ratings lie on the scale": off_scale,
}


def audit(run: Published) -> list[str]:
    """Make all checks; returns their names. Raises JobError at the first that fails."""
    for name, check in CHECKS.items():
        example = check(run).first()
        if example is not None:
            raise JobError(f"Audit failed, nothing was published: {name}. Example: {example}.")
    return list(CHECKS)
