"""Splits of histories: nothing later than a target trains, and no rating without a time is one."""

from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobs.cleaning.order_splits import (
    TEST,
    TRAIN,
    VALIDATION,
    choose,
    cuts,
    leave_last_out,
    next_visit,
    time_cut,
)
from tests.benchmarks import order_deals

HOUR = 3600


def dealt(spark, deal, *histories: list[int]) -> list[list[int]]:
    """The splits of some histories by one deal."""
    lists = ", ".join(
        f"({n}, array({', '.join(map(str, history))}))" for n, history in enumerate(histories)
    )
    rows = spark.sql(f"select n, cast(at as array<bigint>) at from values {lists} as t(n, at)")
    return [
        [TRAIN] * row.validation_from
        + [VALIDATION] * (row.test_from - row.validation_from)
        + [TEST] * (len(row.at) - row.test_from)
        for row in deal(rows).orderBy("n").collect()
    ]


def test_the_next_visit_by_hand(spark):
    """A visit ends at a gap of more than an hour; times that are unknown come first."""
    histories = {
        (0, 0, HOUR, 3 * HOUR, 3 * HOUR + 5, 9 * HOUR): [0, 0, 0, 1, 1, 2],
        (-1, 10, 11, 10 * HOUR): [0, 0, 0, 2],
        (-1, -1, 5 * HOUR): [0, 0, 0],
        (-1, -1): [0, 0],
        (7,): [0],
    }
    found = dealt(spark, partial(next_visit, gap=HOUR), *map(list, histories))
    assert found == list(histories.values())


def test_leave_last_out_by_hand(spark):
    histories = [[1, 1, 2], [-1, -1, 5], [-1, 4, 5], [-1, -1, -1], [1, 2]]
    expected = [[0, 1, 2], [0, 0, 2], [0, 1, 2], [0, 1, 2], [0, 0]]
    assert dealt(spark, leave_last_out, *histories) == expected


def test_a_cut_by_time_by_hand(spark):
    deal = partial(time_cut, validation_from=20, test_from=30)
    assert dealt(spark, deal, [-1, 10, 20, 29, 30, 40], [-1]) == [[0, 0, 1, 1, 2, 2], [0]]


def test_a_cut_by_time_keeps_a_second_together():
    second_S, count_S = np.array([10, 20, 30, 40]), np.array([5, 1, 3, 1])
    assert cuts(second_S, count_S, 0.8, 0.1) == (40, 40)
    assert cuts(second_S, count_S, 0.5, 0.4) == (20, 30)
    assert cuts(second_S, count_S, 1.0, 0.0) == (41, 41)


@pytest.mark.parametrize(
    ("counts", "split"),
    [
        ((1000, 100, 9000, 9000), "next-visit"),
        ((1000, 99, 9000, 9000), "time"),
        ((10_000, 499, 90_000, 90_000), "time"),
        ((1000, 99, 9000, 4499), "leave-last-out"),
        ((1000, 0, 9000, 0), "leave-last-out"),
    ],
)
def test_auto_takes_the_next_visit_where_enough_users_have_one(counts, split):
    choice = choose(*counts)
    assert choice.split == split
    assert f"{counts[0]:,} users" in choice.why or f"{counts[2]:,} ratings" in choice.why


HISTORIES = st.lists(
    st.lists(st.sampled_from([-1, 0, 1, 3600, 3601, 7202, 90_000]), min_size=1, max_size=8).map(
        sorted
    ),
    min_size=100,
    max_size=100,
)


# Each example is a hundred histories, and a query of Spark for each deal.
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories=HISTORIES, gap=st.sampled_from([0, 1, HOUR]))
def test_what_holds_for_all_histories(spark, histories, gap):
    offset_H1 = np.cumsum([0, *map(len, histories)])
    time_N = np.concatenate(histories)
    second_S, count_S = np.unique(time_N[time_N >= 0], return_counts=True)
    # Without any time there is no cut, and etl refuses to look for one.
    assume(len(second_S))
    at = cuts(second_S, count_S, 0.6, 0.2)
    by_spark = {
        "next-visit": dealt(spark, partial(next_visit, gap=gap), *histories),
        "leave-last-out": dealt(spark, leave_last_out, *histories),
        "time": dealt(spark, partial(time_cut, validation_from=at[0], test_from=at[1]), *histories),
    }
    by_numpy = {
        "next-visit": order_deals.next_visit(offset_H1, time_N, gap),
        "leave-last-out": order_deals.leave_last_out(offset_H1, time_N),
        "time": order_deals.time_cut(time_N, *at),
    }
    for name, splits in by_spark.items():
        assert np.concatenate(splits).tolist() == by_numpy[name].tolist(), name
        for split, history in zip(splits, histories, strict=True):
            mine, times = np.array(split), np.array(history)
            assert (np.diff(mine) >= 0).all(), name
            if (times >= 0).any():
                assert (mine[times < 0] == TRAIN).all(), name
            if name == "next-visit":
                check_visits(mine, times, gap)
            if name == "leave-last-out":
                assert (mine == TEST).sum() == (len(mine) >= 3)
    split_N, dated_N = by_numpy["time"], time_N >= 0
    assert (split_N == TEST).sum() <= 0.2 * dated_N.sum()
    assert (split_N == TRAIN)[dated_N].sum() >= 0.6 * dated_N.sum()
    train, held = (time_N[split_N == part] for part in (TRAIN, TEST))
    assert max(train, default=-1) < min(held, default=2**40)


def check_visits(split_N, time_N, gap):
    """Splits change between visits alone; whoever validates has something before to train on."""
    changes = np.flatnonzero(np.diff(split_N))
    assert all(time_N[place + 1] - time_N[place] > gap for place in changes)
    if VALIDATION in split_N:
        assert split_N[0] == TRAIN
        assert TEST in split_N
    for part in (VALIDATION, TEST):
        assert (np.diff(time_N[split_N == part]) <= gap).all()
