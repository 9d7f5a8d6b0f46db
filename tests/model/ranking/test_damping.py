"""The damped ranking score: its formula, pair by pair, in the form of two matrices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ranking.damping import damped
from model.ranking.ranker import Ranker
from tests.model.examples import factors

NOTHING = np.array([], dtype=np.int32)


def test_a_rarely_rated_movie_has_to_predict_more():
    # Predicted 4.5 with one rating, 4 with 9; the mean is 3, and one damping rating halves the
    # first: 3 + 1.5 / 2 = 3.75 and 3 + 1 * 0.9 = 3.9.
    model = factors([[1]], [[4.5], [4]], movie_count_M=np.array([1, 9], np.int32))
    plain, fair = (
        Ranker(f).top_k(np.array([0], np.int32), [NOTHING], 2) for f in (model, damped(model, 1))
    )
    assert plain.movie_idx_R.tolist() == [0, 1]
    assert fair.movie_idx_R.tolist() == [1, 0]
    assert fair.score_R.tolist() == pytest.approx([3.9, 3.75])


def test_popularity_is_damped_alike():
    popular_M = np.array([4.5, 4], np.float32)
    model = factors([[1]], [[0], [0]], popular_M=popular_M, movie_count_M=np.array([1, 9]))
    answer = Ranker(damped(model, 1)).top_k(np.array([-1], np.int32), [NOTHING], 2)
    assert answer.movie_idx_R.tolist() == [1, 0]
    assert answer.score_R.tolist() == pytest.approx([3.9, 3.75])


@settings(deadline=None)
@given(st.data())
def test_every_pair_has_the_score_of_the_formula(data):
    number = st.floats(-2, 2, width=32)
    numbers = st.lists(number, min_size=3, max_size=3)
    counts = np.array(data.draw(st.lists(st.integers(0, 1000), min_size=3, max_size=3)), np.int32)
    damping = data.draw(st.floats(0, 100))
    model = factors(
        np.reshape(data.draw(numbers), (3, 1)),
        np.reshape(data.draw(numbers), (3, 1)),
        movie_bias_M=data.draw(numbers),
        user_bias_U=np.array(data.draw(numbers), np.float32),
        mean=data.draw(number),
        movie_count_M=counts,
    )
    user, movie = (grid.ravel() for grid in np.mgrid[:3, :3])
    plain = model.predict(user, movie, clip=False).astype(np.float64)
    weight = counts[movie] / np.maximum(counts[movie] + damping, 1e-300) if damping else 1
    expected = 3.0 + (plain - 3.0) * weight
    found = damped(model, damping).predict(user, movie, clip=False)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_without_damping_nothing_changes():
    model = factors([[1]], [[3]])  # without counts, as models were saved once
    assert damped(model, 0) is model
    with pytest.raises(ValueError, match="did not keep how many ratings a movie had"):
        damped(model, 5)
