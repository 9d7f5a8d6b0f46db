"""Towers of order: a movie is named from the user's others alone."""

import numpy as np
import torch

from model.data.sets import Sets
from model.two_tower import Tower
from model.two_tower_order import HistoryTower, OrderTowers, TwoTowerOrder
from tests.model.conftest import settings

# Of movie 2 nothing is said.
TOLD_MF = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])


def learner(**changes) -> TwoTowerOrder:
    """Without data: what the loss needs."""
    torch.manual_seed(1)
    made = TwoTowerOrder.__new__(TwoTowerOrder)
    chosen = {"hidden": [16], "dropout": 0.0, "input_dropout": 0.0} | changes
    made.settings = settings("two_tower_order", **chosen)
    movie = Tower(TOLD_MF, torch.tensor([5, 2, 1, 1]), made.settings)
    made.module = OrderTowers(HistoryTower(TOLD_MF, made.settings), movie)
    made.data = type("Data", (), {"movies": 4})()
    return made


def test_a_loss_is_that_of_each_movie_named_from_the_others_of_its_user():
    made = learner()
    sets = Sets(torch.tensor([0, 1, 3, 2, 0]), torch.tensor([0, 3]), torch.tensor([3, 2]))
    named = [(0, [1, 3]), (1, [0, 3]), (3, [0, 1]), (2, [0]), (0, [2])]
    tower, movie = made.module.user, made.module.movie
    expected = 0.0
    for target, others in named:
        read_PW = torch.cat([tower.id.weight, TOLD_MF], 1)[others]
        count_1 = torch.tensor([[len(others)]]).log1p()
        row_1K = tower.layers(torch.cat([read_PW.mean(0, keepdim=True), count_1], 1))
        score_M = (row_1K @ movie.rows().T)[0] + movie.bias.weight[:, 0]
        expected += (score_M.logsumexp(0) - score_M[target]).item()
    np.testing.assert_allclose(made.losses(sets).item(), expected, rtol=2e-2)


def test_what_is_left_out_is_of_what_is_read_and_never_of_what_is_named():
    made = learner()
    pair = Sets(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([2]))
    made.losses(pair).backward()
    # Each is read once, to name the other.
    read = made.module.user.id.weight.grad
    assert read is not None
    assert read.any(1).tolist() == [True, True, False, False]
    # With nothing left to read, both are named all the same.
    blind = learner(input_dropout=0.999999).losses(pair)
    assert torch.isfinite(blind)
    assert blind > 0
