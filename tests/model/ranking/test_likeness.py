"""Similarity is the correlation of two movies' scores over users, however rows are written."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ranking import likeness
from model.ranking.likeness import movies_as_users
from tests.model.examples import factors

random = np.random.default_rng


def made(seed: int, users: int = 30, movies: int = 40, width: int = 5, **changes):
    draw = random(seed).normal
    rows = draw(size=(users, width)) + 3, draw(size=(movies, width))
    return factors(*rows, movie_bias_M=draw(size=movies), **changes)


def correlations(model) -> np.ndarray:
    """By NumPy, of the scores of all pairs."""
    users, movies = model.user_UK.shape[0], model.movie_MK.shape[0]
    pairs = np.repeat(np.arange(users), movies), np.tile(np.arange(movies), users)
    return np.corrcoef(model.score(*pairs).reshape(users, movies).T)


def test_by_hand():
    # Movies 10 and 11 are wanted by user 1, 12 by user 2; 13 by all the same, nothing known of 14.
    model = factors(
        [[1, 0, 1], [0, 1, 1], [0, 0, 1]],
        [[1, 0, 0], [2, 0, 5], [0, 1, 0], [0, 0, 1], [0, 0, 0]],
        movie_trained_M=np.array([True] * 4 + [False]),
    )
    movies = movies_as_users([model])
    assert movies.movie_ids_M.tolist() == [10, 11, 12]
    expected = np.array([[1, 1, -0.5]] * 2 + [[-0.5, -0.5, 1]])
    assert movies.user_UK @ movies.movie_MK.T == pytest.approx(expected)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_products_of_rows_are_correlations_of_scores(seed):
    model = made(seed)
    row_MK = movies_as_users([model]).movie_MK
    assert row_MK @ row_MK.T == pytest.approx(correlations(model), abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_another_way_to_write_the_same_scores_gives_the_same(seed):
    model = made(seed)
    turn_KK = random(seed).normal(size=(5, 5)) + 3 * np.eye(5)
    turned = factors(
        model.user_UK @ turn_KK, model.movie_MK @ np.linalg.inv(turn_KK).T, model.movie_bias_M
    )
    rows = [movies_as_users([each]).user_UK for each in (model, turned)]
    assert rows[1] @ rows[1].T == pytest.approx(rows[0] @ rows[0].T, abs=2e-2)


def test_untrained_users_count_for_nothing_and_of_many_some_do(monkeypatch):
    model = made(1)
    strange = replace(
        made(1, users=60),
        user_UK=np.vstack([model.user_UK, 100 * random(2).normal(size=(30, 5))]).astype(np.float32),
        movie_MK=model.movie_MK,
        user_trained_U=np.arange(60) < 30,
    )
    assert (movies_as_users([strange]).user_UK == movies_as_users([model]).user_UK).all()
    monkeypatch.setattr(likeness, "MOST_USERS", 10)
    assert likeness.users_compared(strange).tolist() == list(range(0, 30, 3))
