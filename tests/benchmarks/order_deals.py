"""The splits of jobs/cleaning/order_splits.py in NumPy, for the benchmarks that do without Spark.

H histories lie one after another, N ratings in all: those of history h stand at offsets h to h + 1,
oldest first. tests/jobs/cleaning/test_order_splits.py compares them with those that etl deals.
"""

import numpy as np
from numpy.typing import NDArray

from jobs.cleaning.order_splits import TEST, TRAIN, UNKNOWN, VALIDATION

Int = NDArray[np.integer]
Split = NDArray[np.int8]


def visits(offset_H1: Int, time_N: Int, gap: int) -> Int:
    """The visit that each rating belongs to, from 1 in every history; 0 without a time.

    A visit ends where the next rating is more than `gap` seconds later.
    """
    dated_N = time_N > UNKNOWN
    begins_N = dated_N.copy()
    begins_N[1:] &= (time_N[1:] - time_N[:-1] > gap) | ~dated_N[:-1]
    first_H = offset_H1[:-1][np.diff(offset_H1) > 0]
    begins_N[first_H] = dated_N[first_H]
    begun_N1 = np.concatenate([[0], np.cumsum(begins_N)])
    return begun_N1[1:] - np.repeat(begun_N1[offset_H1[:-1]], np.diff(offset_H1))


def visits_of(offset_H1: Int, time_N: Int, gap: int) -> Int:
    """How many visits each history has: those of ratings with a time."""
    visit_N1 = np.append(visits(offset_H1, time_N, gap), 0)
    # The last rating's; where there is none, that of the extra place or of a history before.
    return np.where(np.diff(offset_H1) > 0, visit_N1[offset_H1[1:] - 1], 0)


def next_visit(offset_H1: Int, time_N: Int, gap: int) -> Split:
    """A history's last visit is test, the one before it validation, if one is left to learn from.

    A history of two visits has a test, and no validation; one of a single visit has neither.
    """
    count_N = np.repeat(visits_of(offset_H1, time_N, gap), np.diff(offset_H1))
    visit_N = visits(offset_H1, time_N, gap)
    split_N = np.full(len(time_N), TRAIN, np.int8)
    split_N[(visit_N == count_N - 1) & (count_N >= 3)] = VALIDATION
    split_N[(visit_N == count_N) & (count_N >= 2)] = TEST
    return split_N


def leave_last_out(offset_H1: Int, time_N: Int) -> Split:
    """A history's last rating is test, the one before it validation; of fewer than 3, neither.

    Without a time it is so only where the whole history has none.
    """
    count_H = np.diff(offset_H1)
    dated_H = np.add.reduceat(np.append(time_N > UNKNOWN, False), offset_H1[:-1]) * (count_H > 0)
    eligible_N = (time_N > UNKNOWN) | np.repeat(dated_H == 0, count_H)
    back_N = np.repeat(offset_H1[1:], count_H) - np.arange(len(time_N))
    eligible_N &= np.repeat(count_H >= 3, count_H)
    split_N = np.full(len(time_N), TRAIN, np.int8)
    split_N[eligible_N & (back_N == 2)] = VALIDATION
    split_N[eligible_N & (back_N == 1)] = TEST
    return split_N


def time_cut(time_N: Int, validation_from: int, test_from: int) -> Split:
    """Ratings from these seconds on are validation and test, whosesoever they are."""
    later_N = (time_N >= validation_from).astype(np.int8) + (time_N >= test_from)
    return np.where(time_N > UNKNOWN, later_N, TRAIN).astype(np.int8)
