"""Which ratings are for training, validation and test, and in which order training reads them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.cleaning import file_order
from jobs.runs.settings.cleaning import EtlSettings

BUCKETS = 1_000_000
FILE_ORDERS = {"position": file_order.position, "kfold": file_order.kfold}


def with_split(
    ratings: DataFrame, settings: EtlSettings, given_test: DataFrame | None = None
) -> DataFrame:
    """Add split: 'train', 'validation' or 'test', as settings.split says.

    `ratings` holds one row per user and movie, with rated_at and, for a split by the order of
    the file, with block and position in it. `given_test` holds the user_id and movie_id of the
    release's own test rows, for the split 'given'. The result depends on the rows and the settings
    alone: not on the order of rows here, nor on partitions.
    """
    if settings.split in FILE_ORDERS:
        return by_file_order(ratings, settings, FILE_ORDERS[settings.split])
    if settings.split == "leave-last-out":
        return ratings.withColumn("split", last_out())
    if settings.split == "time":
        return by_time(ratings, settings)
    if settings.split == "given":
        assert given_test is not None
        return as_given(ratings, given_test, settings)
    return ratings.withColumn("split", split_of(settings))


def hash_of(settings: EtlSettings, *more: str) -> Column:
    """XXH64, as Spark documents it, of a rating's user, movie and the seed alone.

    The same in every version of Spark. A deal by it depends neither on row order nor on partitions
    nor on other ratings: a rating added tomorrow moves no other.
    """
    return F.xxhash64("user_id", "movie_id", *more, F.lit(settings.split_seed))


def split_of(settings: EtlSettings) -> Column:
    """The splits that are dealt by hash: random, stratified, folds. Shares hold up to chance.

    They cannot be exact: then the number of ratings would decide, and one more of them would move
    another, or else the deal would have to follow the order in which ratings came, which is not
    known of those without a time. Of n ratings, the share p comes out with a standard deviation of
    sqrt(p (1 - p) / n): of 56,174 ratings of one value and p = 0.1, 0.13 percent points.
    """
    if settings.split == "folds":
        fold = F.pmod(hash_of(settings), F.lit(settings.folds)) + 1
        following = settings.fold % settings.folds + 1
        return (
            F.when(fold == settings.fold, "test")
            .when(fold == following, "validation")
            .otherwise("train")
        )
    # With the rating in it, each rating value is dealt on its own.
    more = ["rating"] if settings.split == "stratified" else []
    bucket = F.pmod(hash_of(settings, *more), F.lit(BUCKETS))
    train = round(settings.train_share * BUCKETS)
    validation = train + round(settings.validation_share * BUCKETS)
    return F.when(bucket < train, "train").when(bucket < validation, "validation").otherwise("test")


def last_out() -> Column:
    """Each user's newest rating is test, the one before it validation, the others train.

    Of equally new ones the higher movie_id counts as newer; ratings without a time are the oldest.
    Users with fewer than 3 ratings are in train alone.
    """
    user = Window.partitionBy("user_id")
    newest_first = user.orderBy(F.desc_nulls_last("rated_at"), F.desc("movie_id"))
    place = F.when(F.count("*").over(user) >= 3, F.row_number().over(newest_first))
    return F.when(place == 1, "test").when(place == 2, "validation").otherwise("train")


def by_time(ratings: DataFrame, settings: EtlSettings) -> DataFrame:
    """The newest test_share of all ratings is test, the ratings before them are validation.

    Equally new ones follow each other by hash. Ratings without a time are the oldest.
    """
    # Read once for the days, and once for each cut.
    ratings = ratings.cache()
    seconds = F.coalesce(F.unix_seconds("rated_at"), F.lit(-1))
    parts = (seconds, hash_of(settings), F.col("user_id"), F.col("movie_id"))
    age = F.array(*(part.cast("bigint") for part in parts))
    day = F.floor(seconds / 86_400)
    days = sorted(ratings.groupBy(day.alias("day")).count().collect(), reverse=True)
    rows = sum(found["count"] for found in days)

    def among_newest(wanted: int) -> Column:
        """Whether a rating is one of the `wanted` newest. Sorts no more than one day's ratings."""
        for found in days:
            if wanted < found["count"]:
                of_day = ratings.filter(day == found["day"]).select(age.alias("age"))
                cut = of_day.orderBy(F.desc("age")).offset(wanted).first()
                assert cut is not None
                return age > F.array(*(F.lit(part).cast("bigint") for part in cut["age"]))
            wanted -= found["count"]
        return F.lit(True)

    test = round(rows * settings.test_share)
    later = test + round(rows * settings.validation_share)
    split = F.when(among_newest(test), "test").when(among_newest(later), "validation")
    return ratings.withColumn("split", split.otherwise("train"))


def as_given(ratings: DataFrame, given_test: DataFrame, settings: EtlSettings) -> DataFrame:
    """Test is what the release gives as test; validation is taken from the others by hash."""
    test = given_test.select("user_id", "movie_id").distinct().withColumn("given", F.lit(True))
    share = settings.validation_share / (settings.train_share + settings.validation_share)
    bucket = F.pmod(hash_of(settings), F.lit(BUCKETS))
    split = F.when(F.col("given"), "test").when(bucket < round(share * BUCKETS), "validation")
    joined = ratings.join(test, ["user_id", "movie_id"], "left")
    return joined.withColumn("split", split.otherwise("train")).drop("given")


def by_file_order(
    ratings: DataFrame, settings: EtlSettings, deal: Callable[[int, EtlSettings], np.ndarray]
) -> DataFrame:
    """Deal rows by their place in the file, as one of jobs/cleaning/file_order.py says.

    Lines that could not be used are not counted. Unlike the deals by hash, these change altogether
    with one more row.
    """
    # Read once for the sizes of blocks, once for the join.
    ratings = ratings.cache()
    spark = ratings.sparkSession
    sizes = sorted(tuple(row) for row in ratings.groupBy("block").count().collect())
    rows = sum(size for _, size in sizes)
    before, firsts = 0, []
    for block, size in sizes:
        firsts.append((block, before))
        before += size
    blocks = spark.createDataFrame(firsts, "block bigint, before bigint")
    place = F.row_number().over(Window.partitionBy("block").orderBy("position")) - 1
    numbered = ratings.withColumn("place", place).join(F.broadcast(blocks), "block")
    numbered = numbered.withColumn("row", F.col("before") + F.col("place"))
    split_R = deal(rows, settings)
    held_N = np.flatnonzero(split_R != file_order.TRAIN)
    names = pa.array(np.array(file_order.NAMES)[split_R[held_N]], pa.string())
    dealt = spark.createDataFrame(pa.table({"row": pa.array(held_N, pa.int64()), "split": names}))
    joined = numbered.join(dealt, "row", "left")
    return joined.withColumn("split", F.coalesce("split", F.lit("train")))
