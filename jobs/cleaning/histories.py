"""Each user's ratings in time order, as models of order read them: schemas.HISTORIES.

Their split is another one than that of the ratings: jobs/cleaning/order_splits.py has its rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.cleaning.model_inputs import with_seconds
from jobs.cleaning.order_splits import (
    UNKNOWN,
    Split,
    cuts,
    leave_last_out,
    next_visit,
    time_cut,
)
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.settings import EtlSettings

Ints = NDArray[np.integer]
Deal = Callable[[Ints, Ints], Split]
"""A split of the ratings of histories, from where each history begins and the times."""


def histories(ratings: DataFrame, split: str, settings: EtlSettings) -> DataFrame:
    """schemas.HISTORIES, by user_idx, dealt by one of the splits that etl.order_split names.

    `ratings` holds user_idx, movie_idx, rating and rated_at, all rows of a user in one partition.
    """
    deal = dealing(ratings, split, settings)
    at = F.col("rated_at").alias("at")
    columns = with_seconds(ratings).select("user_idx", "movie_idx", "rating", at)
    return columns.mapInArrow(partial(in_lists, deal=deal), schemas.HISTORIES)


def takes_part(split: int) -> Column:
    """Whether a user has ratings of a split, and earlier ones to know the user by."""
    wanted = F.array_contains("split", F.lit(split).cast("tinyint"))
    return wanted & (F.element_at("split", 1) < split)


def dealing(ratings: DataFrame, split: str, settings: EtlSettings) -> Deal:
    """How a split deals histories; a cut in time is looked for among all ratings that have one."""
    if split == "leave-last-out":
        return leave_last_out
    if split == "next-visit":
        return partial(next_visit, gap=60 * settings.visit_gap_minutes)
    dated = ratings.filter("rated_at is not null").groupBy(F.unix_seconds("rated_at").alias("at"))
    found = dated.count().toArrow().sort_by("at")
    seconds, counts = found["at"].to_numpy(), found["count"].to_numpy()
    if not len(seconds):
        raise JobError("etl.order_split is time, and no rating has one. Set it to leave-last-out.")
    held = settings.validation_share + settings.test_share
    at = cuts(seconds, counts, 1 - held, settings.test_share or settings.validation_share)
    return partial(cut_in_time, at=at)


def cut_in_time(offset_H1: Ints, time_N: Ints, at: tuple[int, int]) -> Split:
    """`time_cut`, of whatever histories."""
    return time_cut(time_N, *at)


def in_lists(batches: Iterable[pa.RecordBatch], deal: Deal) -> Iterator[pa.RecordBatch]:
    """The lists of the users of one partition, which holds all their ratings."""
    # A partition without rows has no batches, and so no schema.
    held = list(batches)
    if not held:
        return
    table = pa.Table.from_batches(held)
    user_N, movie_N, rating_N, time_N = (table[name].to_numpy() for name in table.column_names)
    order_N = np.lexsort((movie_N, time_N, user_N))
    user_N, time_N = user_N[order_N], time_N[order_N]
    user_H, first_H = np.unique(user_N, return_index=True)
    offset_H1 = np.append(first_H, len(user_N))

    def listed(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offset_H1, pa.int32()), values)

    columns = {
        "user_idx": pa.array(user_H, pa.int32()),
        "movie_idx": listed(pa.array(movie_N[order_N])),
        "rating": listed(pa.array(rating_N[order_N])),
        "rated_at": listed(pa.array(time_N, mask=time_N == UNKNOWN)),
        "split": listed(pa.array(deal(offset_H1, time_N))),
    }
    yield pa.RecordBatch.from_pydict(columns)
