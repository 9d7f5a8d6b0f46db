"""Whom one asks, and what is known then."""

from dataclasses import replace

import numpy as np

from model.data.histories import TEST, UNKNOWN, Histories
from model.held_out import by_movie, held_out, rank
from tests.model.examples import factors

# The first user is asked at 30; the second has nothing before; the third has no times.
HISTORIES = Histories(
    user_U=np.array([2, 5, 7], np.int32),
    offset_U1=np.array([0, 4, 5, 7]),
    movie_N=np.array([0, 1, 2, 3, 4, 1, 2], np.int32),
    rating_N=np.ones(7, np.float32),
    time_N=np.array([UNKNOWN, 10, 30, 30, 5, UNKNOWN, UNKNOWN]),
    split_N=np.array([0, 1, 2, 2, 2, 0, 2], np.int8),
)


def test_users_with_something_known_and_something_to_name():
    held = held_out(HISTORIES, TEST)
    assert held.known.user_U.tolist() == [2, 7]
    assert held.known.movie_N.tolist() == [0, 1, 1]
    assert [held.targets[place].tolist() for place in range(2)] == [[2, 3], [2]]
    assert held.gap_N.tolist() == [20, 0, UNKNOWN]
    assert held.known.asked_U is not None
    assert held.known.asked_U.tolist() == [30, UNKNOWN]
    assert [held.excluded[place].tolist() for place in range(2)] == [[0, 1], [1]]


def test_a_target_that_a_model_does_not_know_stays_one():
    place_M = np.array([2, -1, -1, 0, 1])
    held = by_movie(held_out(HISTORIES, TEST), place_M)
    assert held.known.movie_N.tolist() == [2]
    assert held.targets.value_N.tolist() == [-1, 0, -1]


def test_lists_by_given_rows_and_what_is_popular_without_any():
    held = held_out(HISTORIES, TEST)
    nothing = held.known.where(np.array([True, True, False]))
    held = replace(held, known=nothing)
    model = factors(np.zeros((9, 1)), [[0], [1], [2], [3], [4]])
    model = replace(model, popular_M=np.array([1, 9, 3, 2, 0], np.float32))
    ranked = rank(model, np.array([[1], [5]]), held, 3)
    assert ranked.row_R.tolist() == [0, 0, 0, 1, 1, 1]
    assert ranked.movie_idx_R.tolist() == [4, 3, 2, 1, 2, 3]
