"""Which ratings are for training, validation and test, and in which order training reads them."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.configuration import EtlSettings

BUCKETS = 1_000_000


def split_of(settings: EtlSettings) -> Column:
    """'train', 'validation' or 'test', from a hash of (user, movie, seed) alone.

    So the deal depends neither on row order nor on partitions nor on other ratings: a rating added
    tomorrow moves no other. The hash is XXH64, as Spark documents it, the same in every version.
    """
    bucket = F.pmod(F.xxhash64("user_id", "movie_id", F.lit(settings.split_seed)), F.lit(BUCKETS))
    train = round(settings.train_share * BUCKETS)
    validation = train + round(settings.validation_share * BUCKETS)
    return F.when(bucket < train, "train").when(bucket < validation, "validation").otherwise("test")


def shuffled(ratings: DataFrame, row_groups: int, seed: int) -> DataFrame:
    """Rows in an order that has nothing to do with their content, in `row_groups` even files.

    Written partitioned by split, every file is one row group of each split. petastorm deals row
    groups to ranks: uneven or sorted ones would make uneven or biased shards.
    """
    order = F.xxhash64("movie_idx", "user_idx", F.lit(seed))
    return ratings.repartitionByRange(row_groups, order).sortWithinPartitions(order)
