"""What models may know beside a rating: what a movie is, and what a user rated before."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def movie_features(movies: DataFrame) -> DataFrame:
    """schemas.MOVIE_FEATURES: one row per movie of `movies`, which also has movie_idx."""
    found = movies.select(F.explode("genres")).distinct().collect()
    hot = [F.array_contains("genres", row[0]).cast("float") for row in sorted(found)]
    multi_hot = F.array(*hot).cast("array<float>").alias("genres")
    return movies.select("movie_idx", multi_hot, "year")


def rated_movies(ratings: DataFrame, users: DataFrame) -> DataFrame:
    """schemas.RATED: one row per user with the movies rated in any split, in order.

    Users with ratings stay where `ratings` has them: no row moves where these lie together.
    """
    movie_ids = F.sort_array(F.collect_list("movie_id")).alias("movie_ids")
    lists = ratings.groupBy("user_id").agg(movie_ids)
    without = users.filter("not has_rated").select("user_id", F.array().cast("array<int>"))
    return lists.union(without)


def histories(ratings: DataFrame, users: DataFrame) -> DataFrame:
    """schemas.HISTORIES: one row per user with the ratings, of all splits, from old to new.

    Equally old ones are in the order of movies; those without a time are the last, although no
    split counts them as the newest: nobody knows what they came after.
    """
    rating = F.struct(F.col("rated_at").isNull(), "rated_at", "movie_idx", "rating", "split")
    lists = ratings.groupBy("user_id").agg(F.sort_array(F.collect_list(rating)).alias("row"))
    return lists.join(F.broadcast(users), "user_id").select(
        "user_idx",
        F.col("row.movie_idx").alias("movie_idxs"),
        F.col("row.rating").alias("ratings"),
        F.col("row.rated_at").alias("times"),
        F.col("row.split").alias("splits"),
    )
