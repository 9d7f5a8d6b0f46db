"""Baselines and metrics on numbers worked out by hand."""

import numpy as np

from model.biases import fit_bias_baseline
from model.metrics import mae, rmse


def test_errors():
    assert rmse([3, 4], [3, 2]) == np.sqrt(2)
    assert mae([3, 4], [3, 2]) == 1


def test_one_sweep_of_the_bias_baseline():
    # Mean 3. Movie 0: surplus +1 and +1 over 2 ratings, damped by 2: 2/4. Movie 1: -2/3.
    user = np.array([0, 1, 0], np.int32)
    movie = np.array([0, 0, 1], np.int32)
    rating = np.array([4, 4, 1], np.float32)
    fitted = fit_bias_baseline(
        user, movie, rating, users=3, movies=3, sweeps=1, movie_damping=2, user_damping=0.5
    )
    assert fitted.mean == 3
    np.testing.assert_allclose(fitted.movie_bias_M, [2 / 4, -2 / 3, 0])
    # User 0: rests 0.5 and -4/3 over 2 ratings damped by 0.5; user 1: 0.5/1.5; user 2 unrated.
    np.testing.assert_allclose(fitted.user_bias_U, [(0.5 - 4 / 3) / 2.5, 0.5 / 1.5, 0])
