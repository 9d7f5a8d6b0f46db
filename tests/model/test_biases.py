"""Biases and metrics on numbers worked out by hand."""

import numpy as np
import pytest
import torch

from model.biases import BiasesSettings, biases_beside
from model.data.ratings import Ratings
from model.metrics import mae, rmse
from tests.model.examples import factors


def test_errors():
    assert rmse([3, 4], [3, 2]) == np.sqrt(2)
    assert mae([3, 4], [3, 2]) == 1


def test_one_sweep():
    # Mean 3. Movie 0: surplus +1 and +1 over 2 ratings, damped by 2: 2/4. Movie 1: -2/3.
    ratings = Ratings(*map(torch.tensor, ([0, 1, 0], [0, 0, 1], [4.0, 4.0, 1.0])))
    beside = factors(np.ones((3, 2)), np.ones((3, 2)))
    fitted = biases_beside(beside, ratings, BiasesSettings(1, 2, 0.5))
    assert fitted.mean == 3
    assert fitted.user_UK.shape == fitted.movie_MK.shape == (3, 0)
    assert fitted.movie_bias_M == pytest.approx([2 / 4, -2 / 3, 0])
    # User 0: rests 0.5 and -4/3 over 2 ratings damped by 0.5; user 1: 0.5/1.5; user 2 unrated.
    assert fitted.user_bias_U == pytest.approx([(0.5 - 4 / 3) / 2.5, 0.5 / 1.5, 0])
    assert fitted.manifest["model"] == "biases"
    rests = fitted.predict(np.array([0, 1, 0]), np.array([0, 0, 1]), clip=False) - [4, 4, 1]
    assert fitted.sd(np.array([0]), np.array([1])) == pytest.approx(rmse(rests, 0))
