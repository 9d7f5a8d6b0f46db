"""Rows of users who are new to a model of ratings, or have rated since it learned."""

from dataclasses import replace

import numpy as np
import pytest

from model.dates import DAY, DAYS, Clock, Dates, Effects
from model.factors import load_factors
from model.fold_in import Prior, can_fold_in, ridge_rows, with_folded_in
from model.known_ratings import digests, rating_hashes
from tests.model.examples import factors, histories

MOVIES = np.array([10, 11, 12, 13], np.int32)


# Users 1 to 3 with rows of mean 2 and variance 1 and biases of 0, and movies 10 to 13; nothing was
# learned of user 4 and movie 13.
THEN = histories({0: 4, 1: 2}, {0: 5}, {1: 3}, {})
MODEL = factors(
    [[1], [2], [3], [0]],
    [[1], [0.5], [2], [0]],
    mean=1.0,
    user_trained_U=np.array([True, True, True, False]),
    movie_trained_M=np.array([True, True, True, False]),
    popular_M=np.array([3.5, 4.5, 3.25, 3], np.float32),
    noise=0.5,
    known_U=digests(THEN, MOVIES),
)


def test_a_row_is_the_mean_of_normal_rows_given_the_ratings():
    prior = Prior.of(MODEL)
    assert prior.mean_W.tolist() == [2, 0]
    np.testing.assert_allclose(prior.root_WW @ prior.root_WW.T, [[1, 0], [0, 0]], atol=1e-12)
    row_UK, bias_U = ridge_rows(MODEL, histories({0: 4, 2: 4}, {}), 0.5)
    # Left by 1 + 2 m are 1 and -1; (1 * 1 - 2 * 1) / (1 + 4 + 0.5) moves the row.
    np.testing.assert_allclose(row_UK[:, 0], [2 - 1 / 5.5, 2], rtol=1e-6)
    np.testing.assert_allclose(bias_U, [0, 0], atol=1e-7)


def test_where_all_ratings_are_the_same_a_row_is_the_mean_row():
    same = factors(np.zeros((3, 0)), np.zeros((4, 0)), mean=1.0)
    row_UK, bias_U = ridge_rows(same, histories({0: 1, 2: 1}, {}), 0.0)
    assert (row_UK.shape, bias_U.tolist()) == ((2, 0), [0, 0])


def test_a_row_depends_on_the_users_own_ratings_alone():
    random = np.random.default_rng(7)
    model = factors(random.normal(size=(30, 5)), random.normal(size=(40, 5)))
    model = replace(model, user_bias_U=random.normal(size=30).astype(np.float32))
    users = [
        dict(zip(random.permutation(40)[:n].tolist(), random.integers(1, 6, n), strict=True))
        for n in random.integers(1, 20, 600)
    ]
    together = ridge_rows(model, histories(*users), 0.7)
    alone = ridge_rows(model, histories(users[300]), 0.7)
    assert (together[0][300] == alone[0][0]).all()
    assert together[1][300] == alone[1][0]


def test_digests_tell_ratings_and_not_their_order():
    first, second, third = digests(histories({0: 4, 1: 2}, {1: 2, 0: 4}, {0: 2, 1: 4}), MOVIES)
    assert first == second != third
    assert digests(histories({}), MOVIES).tolist() == [0]
    hashes = rating_hashes(np.arange(1000), np.full(1000, 0.5, np.float32))
    assert len(set(hashes.tolist())) == 1000


def test_who_is_new_or_has_rated_since_gets_a_row():
    # 1 as then; 2 has rated since, 3 something else; 4 a movie of which nothing was learned; 5 new.
    now = histories({1: 2, 0: 4}, {0: 5, 2: 4}, {}, {3: 5}, {0: 4, 2: 4})
    model = with_folded_in(MODEL, now, np.array([1, 2, 3, 4, 7]), MOVIES)
    assert model.user_ids_U.tolist() == [1, 2, 3, 4, 7]
    users, movie = np.arange(-1, 5), np.zeros(6, int)
    assert model.source(users, movie).tolist() == [
        *("popular", "model", "folded_in", "popular", "popular", "folded_in"),
    ]
    new = 1 + 2 - 1 / 5.5
    assert model.predict(users, movie)[[0, 1, 3, 5]] == pytest.approx([3.5, 2, 3.5, new])
    assert model.source(users[-1:], np.array([3])).tolist() == ["mean"]
    # Once folded in, they are as they were then; with the same ratings, nobody is.
    assert with_folded_in(model, now, np.array([1, 2, 3, 4, 7]), MOVIES) is model
    assert with_folded_in(MODEL, THEN, np.arange(1, 5), MOVIES) is MODEL


def test_how_far_off_a_rating_may_be_is_not_known_of_such_a_row():
    model = replace(
        MODEL,
        user_sd_US=np.array([[1], [2], [3], [0]], np.float32),
        movie_sd_MS=np.array([[1], [1], [2], [0]], np.float32),
    )
    folded = with_folded_in(model, histories({0: 4}), np.array([9]), MOVIES)
    assert folded.sd(np.array([0, 4]), np.array([2, 2])).tolist() == pytest.approx(
        [2, np.nan], nan_ok=True
    )
    # Bounds are those of the average user.
    assert folded.user_sd_US is not None
    assert folded.user_sd_US[4] == 2


def test_effects_of_time_stay_with_their_users():
    dates = Dates(
        Clock(0, 2, True, 0, 100 * DAY, np.array([0, 0, 0, 0]), np.array([0, 100 * DAY, 0, 0])),
        Effects(np.empty(0, int), np.empty(0)),
        Effects(np.array([2, 3]), np.array([0.5, 0.25])),
        Effects(np.array([DAYS + 3]), np.array([1.0])),
    )
    model = replace(MODEL, dates=dates, user_ids_U=np.array([1, 5, 6, 7], np.int32))
    folded = with_folded_in(model, histories({0: 4}), np.array([3]), MOVIES)
    pairs = np.zeros(1, int), np.array([3 * DAY])
    assert folded.user_idx(np.array([3, 5])).tolist() == [1, 2]
    then = model.predict(np.array([1]), pairs[0], time_P=pairs[1])
    assert then == pytest.approx([3 + 0.5 - 0.25 + 1])
    assert folded.predict(np.array([2]), pairs[0], time_P=pairs[1]) == then
    # Of a row of tonight, times tell nothing.
    row = np.array([1])
    assert folded.predict(row, pairs[0], time_P=pairs[1]) == folded.predict(row, pairs[0])


def test_a_model_saved_before_there_were_digests_folds_nobody_in(tmp_path):
    MODEL.save(tmp_path / "now")
    loaded = load_factors(tmp_path / "now")
    assert can_fold_in(loaded)
    assert (loaded.noise, loaded.user_folded_U) == (0.5, None)
    replace(MODEL, noise=None, known_U=None).save(tmp_path / "earlier")
    earlier = load_factors(tmp_path / "earlier")
    assert not can_fold_in(earlier)
    assert with_folded_in(earlier, histories({0: 4}), np.array([9]), MOVIES) is earlier
