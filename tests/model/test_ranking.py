"""The scoring kernel against worked examples and against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.factors import Factors
from model.ranking import Ranker
from tests.model.examples import factors

NOTHING = np.array([], dtype=np.int32)


def ranked(model: Factors, rated, k, user=0) -> list[int]:
    answer = Ranker(model).top_k(np.array([user], np.int32), [np.array(rated, np.int32)], k)
    assert answer.rank_R.tolist() == list(range(1, len(answer.rank_R) + 1))
    return answer.movie_idx_R.tolist()


def test_best_first_without_rated():
    # Scores 3, 1, 4, 2 for the only user.
    model = factors([[1]], [[3], [1], [4], [2]])
    assert ranked(model, [], 2) == [2, 0]
    assert ranked(model, [2], 2) == [0, 3]
    assert ranked(model, [], None) == [2, 0, 3, 1]


def test_biases_and_mean_count():
    model = factors([[1]], [[3], [1]], movie_bias_M=[0, 2.5], mean=0.5)
    answer = Ranker(model).top_k(np.array([0], np.int32), [NOTHING], 2)
    assert answer.movie_idx_R.tolist() == [1, 0]
    assert answer.score_R.tolist() == [4.0, 3.5]


def test_ties_go_to_the_smaller_movie_id():
    # The k-th place is contested by movies 1, 2 and 4.
    model = factors([[1]], [[5], [2], [2], [9], [2]])
    assert ranked(model, [], 3) == [3, 0, 1]
    assert ranked(model, [1], 4) == [3, 0, 2, 4]


def test_fewer_than_k_are_left():
    model = factors([[1]], [[3], [1], [4]])
    assert ranked(model, [0, 2], 5) == [1]


def test_a_user_who_has_rated_everything_gets_nothing():
    assert ranked(factors([[1]], [[3], [1]]), [0, 1], 2) == []


def test_movie_number_zero_can_be_recommended_and_excluded():
    model = factors([[1]], [[9], [1]])
    assert ranked(model, [], 1) == [0]
    assert ranked(model, [0], 1) == [1]


def test_untrained_movies_are_never_scored():
    # Untrained weights of movie 1 would win.
    model = factors([[1]], [[3], [100]], movie_trained_M=np.array([True, False]))
    assert ranked(model, [], 2) == [0]
    assert ranked(model, [1], 2) == [0]


def test_users_without_knowledge_get_the_popular_movies():
    popular_M = np.array([2.0, 4.0, 3.0], np.float32)
    model = factors([[1]], [[9], [1], [5]], popular_M=popular_M, user_trained_U=np.array([False]))
    assert ranked(model, [], 2) == [1, 2]
    # -1 is a user whom the factors do not know at all.
    assert ranked(model, [1], 2, user=-1) == [2, 0]


def test_candidates_can_be_narrowed():
    ranker = Ranker(factors([[1]], [[3], [1], [4]]), movie_ids=np.array([10, 11]))
    assert ranker.top_k(np.array([0], np.int32), [NOTHING], 3).movie_idx_R.tolist() == [0, 1]


def test_nan_is_refused():
    model = factors([[np.nan]], [[3], [1]])
    with pytest.raises(ValueError, match="not numbers"):
        ranked(model, [], 1)


@given(st.data())
def test_same_as_brute_force(data):
    """Small whole numbers make scores exact in float32, so ties are real and order is certain."""
    users, movies, k = (data.draw(st.integers(1, 7)) for _ in range(3))
    number = st.integers(-2, 2)
    user_UK = data.draw(st.lists(st.tuples(number, number), min_size=users, max_size=users))
    movie_MK = data.draw(st.lists(st.tuples(number, number), min_size=movies, max_size=movies))
    rated = [sorted(data.draw(st.sets(st.integers(0, movies - 1)))) for _ in range(users)]
    answer = Ranker(factors(user_UK, movie_MK)).top_k(
        np.arange(users, dtype=np.int32), [np.array(r, np.int32) for r in rated], k
    )
    for user in range(users):
        scores = np.asarray(movie_MK) @ np.asarray(user_UK[user])
        left = [movie for movie in range(movies) if movie not in rated[user]]
        expected = sorted(left, key=lambda movie: (-scores[movie], movie))[:k]
        assert answer.movie_idx_R[answer.row_R == user].tolist() == expected
