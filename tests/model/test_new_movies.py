"""Rows of movies that a model has not learned, from what is known of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from model.data.movie_content import CatalogueContent
from model.dates import UNKNOWN, Clock, Dates, Effects
from model.factors import load_factors
from model.new_movies import NewMovies, Regressions, new_movies, with_new_movies
from tests.model.examples import factors

# Movies 10 to 13, of which 13 is in the index and nothing was learned of it; 14 came later. Of 10
# and 11 one thing is known, of 12 another; 13 is as the former, 14 as the latter.
MODEL = factors(
    [[1, 0], [0, 1], [0, 0]],
    [[2, 0], [2, 0], [0, 4], [0, 0]],
    [0.5, 0.5, -0.5, 0],
    mean=3.0,
    user_trained_U=np.array([True, True, False]),
    movie_trained_M=np.array([True, True, True, False]),
    popular_M=np.array([4, 4, 2, 3], np.float32),
    movie_count_M=np.array([990, 990, 990, 0], np.int32),
    user_sd_US=np.ones((3, 1), np.float32),
    movie_sd_MS=np.array([[1], [1], [4], [0]], np.float32),
)
IDS = np.arange(10, 15)
CONTENT = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 1]])
NEW = np.array([13, 14])


def known(content_TW, ids=IDS) -> CatalogueContent:
    return CatalogueContent(ids, csr_array(content_TW, dtype=np.float32))


def ridge(content_LW, value_LT, weight_L, penalty, content_NW):
    """With a constant that is not penalised, by its normal equations."""
    design_LV = np.column_stack([np.ones(len(content_LW)), content_LW])
    left_VV = design_LV.T @ (weight_L[:, None] * design_LV)
    left_VV[1:, 1:] += penalty * np.eye(content_LW.shape[1])
    slope_VT = np.linalg.solve(left_VV, design_LV.T @ (weight_L[:, None] * value_LT))
    return np.column_stack([np.ones(len(content_NW)), content_NW]) @ slope_VT


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.25, 1, 64]))
def test_regressions_and_what_they_say_of_a_movie_left_out(seed, penalty):
    random = np.random.default_rng(seed)
    content_LW, value_LT = random.normal(size=(9, 3)), random.normal(size=(9, 2))
    weight_L, other_NW = random.uniform(0.1, 1, 9), random.normal(size=(2, 3))
    made = Regressions.of(content_LW, weight_L)
    expected = ridge(content_LW, value_LT, weight_L, penalty, other_NW)
    np.testing.assert_allclose(made.predict(value_LT, penalty, other_NW), expected, atol=1e-9)
    [left_LT] = made.left_out(value_LT, np.array([penalty]))
    for out in range(9):
        others = np.arange(9) != out
        parts = content_LW[others], value_LT[others], weight_L[others], penalty
        [said] = ridge(*parts, content_LW[[out]])
        np.testing.assert_allclose(left_LT[out], value_LT[out] - said, atol=1e-9)


def test_what_content_does_not_tell_is_penalised_most_and_what_it_tells_least():
    content_LW = np.repeat(np.eye(2), 20, axis=0)
    made = Regressions.of(content_LW, np.ones(40))
    told = content_LW @ [[1.0], [-1]]
    assert made.penalty(told) == 0.25
    assert made.penalty(np.tile([[1.0], [-1]], (20, 1))) == 4096
    # Of nothing in which movies differ, too.
    assert made.penalty(np.zeros((40, 0))) == made.penalty(np.ones((40, 1))) == 4096


def test_new_movies_are_like_those_of_which_the_same_is_known():
    new = new_movies(MODEL, known(CONTENT), NEW)
    # Three movies of one weight, whose mean row is (4, 4) / 3: 13 lies towards that of 10 and 11,
    # 14 towards that of 12.
    assert new.ids_N.tolist() == [13, 14]
    assert new.row_NK[0, 0] > 4 / 3 > new.row_NK[1, 0]
    assert new.row_NK[1, 1] > 4 / 3 > new.row_NK[0, 1]
    assert 4 > new.popular_N[0] > 10 / 3 > new.popular_N[1] > 2
    with pytest.raises(ValueError, match="has learned none of the movies"):
        new_movies(MODEL, known(CONTENT[3:], NEW), NEW)


def test_a_movie_of_few_ratings_counts_less_and_a_model_without_counts_takes_all_alike():
    def level(*counts) -> float:
        counted = replace(MODEL, movie_count_M=np.array([*counts, 0], np.int32))
        return float(new_movies(counted, known(CONTENT * 0), NEW).popular_N[0])

    # Nothing is known: the mean of 4, 4 and 2, by weights of n / (n + 30).
    assert level(30, 30, 30) == pytest.approx(10 / 3)
    assert level(30, 30, 970) == pytest.approx((2 + 2 + 1.94) / 1.97)
    alike = replace(MODEL, movie_count_M=None)
    assert new_movies(alike, known(CONTENT * 0), NEW).popular_N[0] == pytest.approx(10 / 3)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_do_not_depend_on_how_rows_are_written(seed):
    """Also of rows as long as there are movies."""
    random = np.random.default_rng(seed)
    user_UK, movie_MK = random.normal(size=(6, 8)), random.normal(size=(8, 8))
    turn_KK = random.normal(size=(8, 8)) + 4 * np.eye(8)
    ids = np.arange(10, 18)
    content = known(random.normal(size=(8, 2)), ids)
    untrained = {"movie_trained_M": np.arange(8) < 6}

    def scores(user_UK, movie_MK):
        model = factors(user_UK, movie_MK, np.arange(8), **untrained)
        new = new_movies(model, content, ids[6:])
        return user_UK @ new.row_NK.T + new.bias_N

    again = scores(user_UK @ turn_KK, movie_MK @ np.linalg.inv(turn_KK).T)
    np.testing.assert_allclose(scores(user_UK, movie_MK), again, rtol=1e-3, atol=1e-3)


def test_a_model_with_rows_of_new_movies(tmp_path):
    dates = Dates(
        Clock(2, 0, False, 0, 10, np.zeros(3, int), np.zeros(3, int)),
        Effects(np.array([4, 5]), np.array([1.0, 2.0])),
        *[Effects(np.empty(0, int), np.empty(0))] * 2,
    )
    older = replace(MODEL, movie_ids_M=np.array([10, 11, 15, 16]), dates=dates)
    rows = np.array([[1, 0], [9, 9], [0, 1]], float)
    new = NewMovies(np.array([12, 15, 16]), rows, np.array([0.25, 9, 0]), np.array([2.5, 9, 3]))
    with_new_movies(older, new).save(tmp_path / "factors")
    model = load_factors(tmp_path / "factors")
    # 12 is none of the model's, 15 is learned and stays as it was, 16 was not learned.
    assert model.movie_ids_M.tolist() == [10, 11, 12, 15, 16]
    pairs = np.array([0, 0, 0, 0, 2, 1]), np.array([0, 2, 3, 4, 2, 4])
    assert model.source(*pairs).tolist() == [
        *("model", "content", "model", "content", "content", "content"),
    ]
    assert model.predict(*pairs, clip=False).tolist() == [5.5, 4.25, 2.5, 3, 2.5, 4]
    np.testing.assert_array_equal(model.sd(*pairs), [1, np.nan, 4, *[np.nan] * 3])
    assert model.movie_count_M is not None
    assert model.movie_count_M.tolist() == [990, 990, 1, 990, 1]
    assert model.movie_sd_MS is not None
    assert model.movie_sd_MS[:, 0].tolist() == [1, 1, 2, 4, 2]
    # The first half of all times added 1 to movie 15, the second, as after it, 2.
    then = model.predict(*pairs, clip=False, time_P=np.array([0, 0, 0, 0, UNKNOWN, 0]))
    assert then.tolist() == [5.5, 4.25, 1.5, 3, 2.5, 4]
    # The model has learned them all.
    assert with_new_movies(older, replace(new, ids_N=np.array([10, 11, 15]))) is older
