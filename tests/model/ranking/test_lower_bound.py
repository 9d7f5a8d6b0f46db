"""The lower bound as a ranking score."""

import numpy as np
import pytest

from model.ranking.lower_bound import by_rating, lower_bound
from model.ranking.ranker import Ranker
from tests.model.examples import factors

NOTHING = np.array([], dtype=np.int32)
# Of the second movie one can be surer: 4.5 - 1.0 against 4 - 0.25 with one deviation.
MODEL = factors(
    [[1]],
    [[4.5], [4]],
    user_sd_US=np.array([[0.5]], np.float32),
    movie_sd_MS=np.array([[2.0], [0.5]], np.float32),
    movie_count_M=np.array([1, 9], np.int32),
)


def ranked(model):
    return Ranker(model).top_k(np.array([0], np.int32), [NOTHING], 2)


def test_the_surer_movie_comes_first():
    assert ranked(lower_bound(MODEL, 0)).movie_idx_R.tolist() == [0, 1]
    answer = ranked(lower_bound(MODEL, 1))
    assert answer.movie_idx_R.tolist() == [1, 0]
    assert answer.score_R.tolist() == pytest.approx([3.75, 3.5])


def test_it_takes_the_place_of_damping():
    assert ranked(by_rating(MODEL, 1, None)).score_R.tolist() == pytest.approx([3.9, 3.75])
    assert ranked(by_rating(MODEL, 1, 0.5)).score_R.tolist() == pytest.approx([4, 3.875])


def test_without_deviations_there_is_none():
    with pytest.raises(ValueError, match="does not say how far a rating may be"):
        lower_bound(factors([[1]], [[3]]), 1)
