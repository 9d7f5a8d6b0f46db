"""What models may know beside a rating: what a movie is, and what a user rated before."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def genre_names(movies: DataFrame) -> list[str]:
    """All genres of a release's movies, in alphabetical order."""
    return sorted(row[0] for row in movies.select(F.explode("genres")).distinct().collect())


def movie_features(movies: DataFrame, movie_index: DataFrame, genres: Sequence[str]) -> DataFrame:
    """schemas.MOVIE_FEATURES: one row per movie; `genres` gives the places in the multi-hot."""
    hot = [F.array_contains("genres", name).cast("float") for name in genres]
    indexed = movies.join(F.broadcast(movie_index), "movie_id")
    multi_hot = F.array(*hot).cast("array<float>").alias("genres")
    return (
        indexed.select("movie_idx", multi_hot, "year").coalesce(1).sortWithinPartitions("movie_idx")
    )


def histories(indexed: DataFrame) -> DataFrame:
    """schemas.HISTORIES: one row per user with the ratings, of all splits, from old to new.

    Equally old ones are in the order of movies; those without a time are the last, although no
    split counts them as the newest: nobody knows what they came after.
    """
    rating = F.struct(F.col("rated_at").isNull(), "rated_at", "movie_idx", "rating", "split")
    users = indexed.groupBy("user_idx").agg(F.sort_array(F.collect_list(rating)).alias("row"))
    rows = users.select(
        "user_idx",
        F.col("row.movie_idx").alias("movie_idxs"),
        F.col("row.rating").alias("ratings"),
        F.col("row.rated_at").alias("times"),
        F.col("row.split").alias("splits"),
    )
    return rows.repartitionByRange("user_idx").sortWithinPartitions("user_idx")
