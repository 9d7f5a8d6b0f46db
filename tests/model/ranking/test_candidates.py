"""Ranking lists of candidates: by hand, and against the kernel on the same movies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ranking.candidates import rank_candidates
from model.ranking.ranker import Ranker
from tests.model.examples import factors


def ints(*numbers):
    return np.array(numbers, np.int32)


def test_each_user_by_the_own_list():
    # Scores 3, 1, 4 for user 0, and twice that for user 1.
    model = factors([[1], [2]], [[3], [1], [4]], popular_M=np.array([1, 2, 3], np.float32))
    answer = rank_candidates(model, ints(1, 0, -1), [ints(0, 1), ints(), ints(0, 1, 2)], 2)
    rows = zip(answer.row_R, answer.rank_R, answer.movie_idx_R, answer.score_R, strict=True)
    assert [tuple(map(float, row)) for row in rows] == [
        (0, 1, 0, 6),
        (0, 2, 1, 2),
        # Of the user whom the model does not know, the popular ones.
        (2, 1, 2, 3),
        (2, 2, 1, 2),
    ]


def test_nan_is_refused():
    with pytest.raises(ValueError, match="not numbers"):
        rank_candidates(factors([[np.nan]], [[3]]), ints(0), [ints(0)], 1)


@settings(deadline=None)
@given(st.data())
def test_the_list_of_all_unrated_movies_is_no_restriction(data):
    users, movies = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    number = st.integers(-2, 2)
    user_UK = data.draw(st.lists(st.tuples(number, number), min_size=users, max_size=users))
    movie_MK = data.draw(st.lists(st.tuples(number, number), min_size=movies, max_size=movies))
    rated = [ints(*sorted(data.draw(st.sets(st.integers(0, movies - 1))))) for _ in range(users)]
    k = data.draw(st.none() | st.integers(1, 7))
    model, user_idx = factors(user_UK, movie_MK), np.arange(users, dtype=np.int32)
    expected = Ranker(model).top_k(user_idx, rated, k)
    lists = [np.setdiff1d(np.arange(movies, dtype=np.int32), rated[user]) for user in range(users)]
    found = rank_candidates(model, user_idx, lists, k)
    for name in ("row_R", "rank_R", "movie_idx_R", "score_R"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
