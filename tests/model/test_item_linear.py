"""EASE: no weights of its kind are better, all of them are kept or the best of them, and how."""

import numpy as np
import torch

from model.item_linear import ItemLinear, ease
from tests.model.conftest import settings
from tests.model.test_visits import data_of

RATED = [[0, 1, 2], [0, 1], [1, 2, 3], [0, 3], [2, 0, 4], [3, 4]]


def fitted(**changes):
    data = data_of([[(movie, 0) for movie in history] for history in RATED], 6)
    model = ItemLinear(settings("item_linear", penalty=2, **changes), data, seed=1)
    return data, model, model.fit(data)


def gram() -> torch.Tensor:
    x = torch.zeros(len(RATED), 5)
    for user, history in enumerate(RATED):
        x[user, history] = 1
    return x.T @ x


def test_no_other_weights_without_a_diagonal_are_better():
    weight = ease(gram(), 2.0)
    assert not weight.diagonal().any()
    # The gradient is zero but for the diagonal: column by column, it is the least of a parabola.
    slope = gram() @ (weight - torch.eye(5)) + 2 * weight
    assert torch.allclose(slope - slope.diagonal().diag(), torch.zeros(5, 5), atol=1e-5)


def test_by_hand():
    # Of two movies rated by one user each and by two together, P = [[3 + 2, 2], [2, 3 + 2]]^-1.
    both = torch.tensor([[3.0, 2.0], [2.0, 3.0]])
    assert torch.allclose(ease(both, 2.0), torch.tensor([[0, 0.4], [0.4, 0]]))


def test_scores_are_sums_of_weights():
    _, model, rows = fitted()
    weight = ease(gram(), 2.0)
    assert model.whole
    for user, history in enumerate(RATED):
        expected = torch.cat([weight[history].sum(0), torch.zeros(1)])
        assert torch.allclose(rows.movie_MK @ rows.user_UK[user], expected, atol=1e-6)
    # Movies that take no part count for nothing.
    _, model, rows = fitted(most_movies=2)
    assert np.flatnonzero(model.part_M >= 0).tolist() == [0, 1]
    assert rows.movie_MK[2:].abs().sum() == 0


def test_of_more_movies_the_factors_that_lose_least_are_kept():
    _, _, whole = fitted()
    for factors in (1, 2, 5):
        _, model, rows = fitted(exact_movies=4, factors=factors)
        assert not model.whole
        assert rows.movie_MK.shape == (6, factors)
        score, uncut = (each.user_UK @ each.movie_MK.T for each in (rows, whole))
        lost = torch.linalg.svdvals(uncut)[factors:].square().sum()
        assert torch.allclose((score - uncut).square().sum(), lost, atol=1e-5)
