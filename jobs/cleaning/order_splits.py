"""Which movies of each history train, validate and test the lists of what a user will want next.

A history has its times in the column `at`: unix seconds, oldest first, -1 where unknown; ratings
without a time so come first. Within a history no rating is in an earlier split than one before it,
so that nothing later than a target is learned from; and a rating without a time is held out only
where the history has none with one. So a deal says of a history where its validation begins and
where its test: `validation_from` and `test_from` count from 0, and are the length where there are
none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

Int = NDArray[np.integer]
Deal = Callable[[DataFrame], DataFrame]
"""Adds validation_from and test_from to histories, which have `at`."""
TRAIN, VALIDATION, TEST = 0, 1, 2
UNKNOWN = -1
# Fewer users than these say too little of the next visit.
LEAST_USERS, LEAST_SHARE = 100, 0.05


def next_visit(histories: DataFrame, gap: int) -> DataFrame:
    """A history's last visit is test, the one before it validation, if one is left to learn from.

    A visit ends where the next rating is more than `gap` seconds later; ratings without a time
    belong to none. A history of two visits has a test, and no validation; one of a single visit has
    neither.
    """

    def begins(place: Column) -> Column:
        at, before = F.get("at", place), F.get("at", place - 1)
        first = F.coalesce((before == UNKNOWN) | (at - before > gap), F.lit(True))
        return (at > UNKNOWN) & first

    length = F.size("at")
    # Columns of their own, so that each is worked out once.
    found = histories.withColumn("visits", F.filter(F.sequence(F.lit(0), length - 1), begins))
    count = F.size("visits")
    found = found.withColumn(
        "test_from", F.when(count >= 2, F.get("visits", count - 1)).otherwise(length)
    )
    validated = F.when(count >= 3, F.get("visits", count - 2)).otherwise(F.col("test_from"))
    return found.withColumn("validation_from", validated).drop("visits")


def leave_last_out(histories: DataFrame) -> DataFrame:
    """A history's last rating is test, the one before it validation; of fewer than 3, neither.

    Without a time it is so only where the whole history has none.
    """
    length = F.size("at")

    def held(back: int) -> Column:
        undated = F.element_at("at", -1) == UNKNOWN
        return (length >= 3) & (undated | (F.get("at", length - back) > UNKNOWN))

    return histories.withColumns(
        {
            "test_from": F.when(held(1), length - 1).otherwise(length),
            "validation_from": F.when(held(2), length - 2)
            .when(held(1), length - 1)
            .otherwise(length),
        }
    )


def time_cut(histories: DataFrame, validation_from: int, test_from: int) -> DataFrame:
    """Ratings from these seconds on are validation and test, whosesoever they are."""

    def before(second: int) -> Column:
        # Whatever the second, a rating without a time is no later.
        return F.size(F.filter("at", lambda at: (at < second) | (at == UNKNOWN)))

    return histories.withColumns(
        {"validation_from": before(validation_from), "test_from": before(test_from)}
    )


def cuts(second_S: Int, count_S: Int, train_share: float, test_share: float) -> tuple[int, int]:
    """Where validation and test begin, from how many ratings each of S ascending seconds has.

    Ratings of one second stay together: validation begins at the first second before which at
    least `train_share` of the ratings lie, test at the first from which on at most `test_share` do.
    """
    before_S1 = np.concatenate([[0], np.cumsum(count_S)])
    # Beyond the last second, nothing is held out. Shares such as 1 - 0.1 are not exact.
    second_S1 = np.append(second_S, second_S[-1] + 1)
    least = np.ceil(np.round(before_S1[-1] * np.array([train_share, 1 - test_share]), 6))
    validation_from, test_from = second_S1[np.searchsorted(before_S1, least)]
    return int(validation_from), int(test_from)


@dataclass(frozen=True)
class Choice:
    """A split, and why it."""

    split: str
    why: str


def choose(users: int, returned: int, ratings: int, dated: int) -> Choice:
    """The split for `auto`, from how many users have two visits and how many ratings a time."""
    enough = max(LEAST_USERS, LEAST_SHARE * users)
    found = f"{returned:,} of {users:,} users have two dated visits"
    if returned >= enough:
        return Choice("next-visit", found)
    if dated and dated * 2 >= ratings:
        return Choice("time", f"only {found}; {dated:,} of {ratings:,} ratings have a time")
    return Choice("leave-last-out", f"only {dated:,} of {ratings:,} ratings have a time")
