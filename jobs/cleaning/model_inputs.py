"""What training and scoring read: row numbers, dealt ratings, rated movies."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.cleaning.order_splits import UNKNOWN


def rated_movies(ratings: DataFrame, users: DataFrame, all_have_rated: bool) -> DataFrame:
    """schemas.RATED: one row per user with the movies rated in any split, in order.

    Where all users have rated, they stay where `ratings` has them, and no row moves; else all are
    sorted, as users without a rating have to come among the others.
    """
    movie_ids = F.sort_array(F.collect_list("movie_id")).alias("movie_ids")
    lists = ratings.groupBy("user_id").agg(movie_ids)
    if all_have_rated:
        return lists
    without = users.filter("not has_rated").select("user_id", F.array().cast("array<int>"))
    return lists.union(without).orderBy("user_id")


def with_index(rows: DataFrame, entity: str) -> DataFrame:
    """Add <entity>_idx: the place of <entity>_id among all ids, from 0. One partition, in order."""
    order = Window.orderBy(f"{entity}_id")
    return rows.withColumn(f"{entity}_idx", F.row_number().over(order) - 1)


def with_seconds(ratings: DataFrame) -> DataFrame:
    """rated_at as seconds since 1970, UNKNOWN where there is no time."""
    seconds = F.coalesce(F.unix_seconds("rated_at"), F.lit(UNKNOWN))
    return ratings.withColumn("rated_at", seconds)


def shuffled(ratings: DataFrame, row_groups: int, seed: int) -> DataFrame:
    """Rows in `row_groups` files, each with all ratings of its users, in random order.

    Written partitioned by split, every file is one row group of each split. petastorm deals row
    groups to ranks: a user's ratings then lie on one rank, and only what is learned of movies
    travels. A hash of the user says which file it is, one of the rating where it stands there.
    Sizes differ by how much users have rated; a file of no users is not written.
    """
    user = F.xxhash64("user_idx", F.lit(seed))
    order = F.xxhash64("movie_idx", "user_idx", F.lit(seed))
    return ratings.repartition(row_groups, user).sortWithinPartitions(order)
