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
    movies: DataFrame
    """`movie_id` of all that could be recommended: what the filters leave and the model knows."""
    candidates: DataFrame | None
    """Of schemas.CANDIDATES: the users who have a list of their own, and its movies. None: none."""
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
    """A row with a higher ranking score than one ranked above it."""
    above = run.recommendations.select(
        "user_id", (F.col("rank") + 1).alias("rank"), F.col("ranking_score").alias("above")
    )
    return run.recommendations.join(above, ["user_id", "rank"]).filter("ranking_score > above")


def filtered_out(run: Published) -> DataFrame:
    """A movie that the filters or the blocks take away, or that the model does not know."""
    return run.recommendations.join(F.broadcast(run.movies), "movie_id", "left_anti")


def not_listed(run: Published) -> DataFrame:
    """A movie that is not on the list of a user who has one."""
    if run.candidates is None:
        return run.recommendations.filter(F.lit(False))
    theirs = run.recommendations.join(run.candidates, "user_id", "left_semi")
    return theirs.join(run.candidates, ["user_id", "movie_id"], "left_anti")


def wrong_count(run: Published) -> DataFrame:
    """Users, all of whom must be there, with fewer or more rows than top_k and what is left allow.

    Left are the movies that could be recommended, of a user's list if there is one, less the rated.
    """
    rated = run.ratings.join(F.broadcast(run.movies), "movie_id", "left_semi")
    counts = (
        run.users.select("user_id")
        .join(counted(run.recommendations, "rows"), "user_id", "left")
        .join(counted(rated, "rated"), "user_id", "left")
        .fillna(0, ["rows", "rated"])
    )
    left = F.lit(run.movies.count()) - F.col("rated")
    if run.candidates is not None:
        lists = run.candidates.join(F.broadcast(run.movies), "movie_id", "left_semi")
        lists = lists.join(run.ratings, ["user_id", "movie_id"], "left_anti")
        listed = run.candidates.select("user_id").distinct()
        listed = listed.join(counted(lists, "listed"), "user_id", "left").fillna(0)
        counts = counts.join(listed, "user_id", "left")
        left = F.coalesce("listed", left)
    wanted = left if run.top_k is None else F.least(left, F.lit(run.top_k))
    return counts.filter(F.col("rows") != wanted)


def counted(rows: DataFrame, name: str) -> DataFrame:
    """Rows per user."""
    return rows.groupBy("user_id").agg(F.count("*").alias(name))


def unknown_users(run: Published) -> DataFrame:
    """Recommendations for nobody."""
    return run.recommendations.join(run.users, "user_id", "left_anti")


CHECKS = {
    "no value is missing": missing_values,
    "every row is of the run's date": other_date,
    "every user is known": unknown_users,
    "every user has the rows that top_k asks for": wrong_count,
    "ranks run from 1 without gaps, each with another movie": broken_ranks,
    "higher scores rank higher": wrong_order,
    "no recommended movie is filtered out, blocked or new": filtered_out,
    "users with a list get movies of their list": not_listed,
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
