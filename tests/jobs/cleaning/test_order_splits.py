"""Splits of histories: nothing later than a target trains, and no rating without a time is one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
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
    visits,
    visits_of,
)

HOUR = 3600


def ragged(*histories: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and times of histories."""
    return (
        np.cumsum([0, *map(len, histories)]),
        np.array([time for history in histories for time in history], np.int64),
    )


THREE_VISITS = [0, 0, HOUR, 3 * HOUR, 3 * HOUR + 5, 9 * HOUR]
HISTORIES = st.lists(
    st.lists(st.sampled_from([-1, 0, 1, 3600, 3601, 7202, 90_000]), max_size=8).map(sorted),
    max_size=5,
)


def test_a_visit_ends_at_a_gap_of_more_than_an_hour():
    offset_H1, time_N = ragged(THREE_VISITS, [], [-1, -1, 5 * HOUR], [-1], [7])
    assert visits(offset_H1, time_N, HOUR).tolist() == [1, 1, 1, 2, 2, 3, 0, 0, 1, 0, 1]
    assert visits_of(offset_H1, time_N, HOUR).tolist() == [3, 0, 1, 0, 1]


def test_next_visit_by_hand():
    two = [-1, 10, 11, 10 * HOUR]
    offset_H1, time_N = ragged(THREE_VISITS, two, [], [-1, 5], [-1, -1])
    three = [TRAIN] * 3 + [VALIDATION] * 2 + [TEST]
    assert next_visit(offset_H1, time_N, HOUR).tolist() == [*three, 0, 0, 0, TEST, 0, 0, 0, 0]


def test_leave_last_out_by_hand():
    offset_H1, time_N = ragged([1, 1, 2], [-1, -1, 5], [], [-1, -1, -1], [1, 2])
    expected = [0, 1, 2, 0, 0, 2, 0, 1, 2, 0, 0]
    assert leave_last_out(offset_H1, time_N).tolist() == expected


def test_a_cut_by_time_keeps_a_second_together():
    second_S, count_S = np.array([10, 20, 30, 40]), np.array([5, 1, 3, 1])
    assert cuts(second_S, count_S, 0.8, 0.1) == (40, 40)
    assert cuts(second_S, count_S, 0.5, 0.4) == (20, 30)
    assert cuts(second_S, count_S, 1.0, 0.0) == (41, 41)
    time_N = np.array([-1, 10, 20, 29, 30, 40])
    assert time_cut(time_N, 20, 30).tolist() == [0, 0, 1, 1, 2, 2]


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


@settings(max_examples=300, deadline=None)
@given(histories=HISTORIES, gap=st.sampled_from([0, 1, HOUR]))
def test_what_holds_for_all_histories(histories, gap):
    offset_H1, time_N = ragged(*histories)
    dated_N = time_N >= 0
    by_name = {
        "next-visit": next_visit(offset_H1, time_N, gap),
        "leave-last-out": leave_last_out(offset_H1, time_N),
        "time": np.zeros(0, np.int8),
    }
    if dated_N.any():
        second_S, count_S = np.unique(time_N[dated_N], return_counts=True)
        validation_from, test_from = cuts(second_S, count_S, 0.6, 0.2)
        by_name["time"] = time_cut(time_N, validation_from, test_from)
        assert (by_name["time"] == TEST).sum() <= 0.2 * dated_N.sum()
        assert (by_name["time"] == TRAIN)[dated_N].sum() >= 0.6 * dated_N.sum()
        train, held = (time_N[by_name["time"] == part] for part in (TRAIN, TEST))
        assert max(train, default=-1) < min(held, default=2**40)
    for name, split_N in by_name.items():
        for start, stop in pairwise(offset_H1):
            mine, times = split_N[start:stop], time_N[start:stop]
            assert (np.diff(mine) >= 0).all(), name
            if (times >= 0).any():
                assert (mine[times < 0] == TRAIN).all(), name
            if name == "next-visit" and len(mine):
                check_visits(mine, times, gap)
            if name == "leave-last-out":
                assert (mine == TEST).sum() == (len(mine) >= 3)


def check_visits(split_N, time_N, gap):
    """Splits change between visits alone; whoever validates has something before to train on."""
    changes = np.flatnonzero(np.diff(split_N))
    assert all(time_N[place + 1] - time_N[place] > gap for place in changes)
    if VALIDATION in split_N:
        assert split_N[0] == TRAIN
        assert TEST in split_N
    for part in (VALIDATION, TEST):
        assert (np.diff(time_N[split_N == part]) <= gap).all()
