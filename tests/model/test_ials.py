"""Implicit least squares: a row is the minimum of the loss that its formula states."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.ials import IalsEncoder, IalsSettings, sums
from tests.model.data.test_histories import histories_of

SETTINGS = IalsSettings(factors=3, sweeps=1, unobserved=0.2, penalty=0.1, exponent=0.5, decay=None)


def loss(
    row_K: torch.Tensor, movies: list[int], weight: list[float], movie_MK: torch.Tensor
) -> torch.Tensor:
    """One user's part."""
    score_M = movie_MK @ row_K
    penalty = SETTINGS.penalty * (sum(weight) + SETTINGS.unobserved * len(movie_MK)) ** 0.5
    rated = (torch.tensor(weight) * (1 - score_M[movies]).square()).sum()
    return rated + SETTINGS.unobserved * score_M.square().sum() + penalty * row_K.square().sum()


@pytest.mark.parametrize("decay", [None, 2.0])
def test_a_users_row_is_where_the_loss_is_least(decay):
    movie_MK = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    lists = [[0, 3, 5], [], [2], [1, 4]]
    found = IalsEncoder(replace(SETTINGS, decay=decay), movie_MK).encode(histories_of(lists))
    assert not found[1].any()
    for user in (0, 2, 3):
        row_K = found[user].clone().requires_grad_()
        # The last has a weight of 1.
        lags = reversed(range(len(lists[user])))
        weight = [math.exp(-lag / decay) if decay else 1.0 for lag in lags]
        [slope_K] = torch.autograd.grad(loss(row_K, lists[user], weight, movie_MK), row_K)
        assert slope_K.abs().max() < 1e-5


def test_sums_of_lists_in_blocks_are_those_of_each(monkeypatch):
    random = np.random.default_rng(1)
    row_OK = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    lists = [random.choice(9, random.integers(0, 7), replace=False) for _ in range(20)]
    offset_U1, other_N = np.cumsum([0, *map(len, lists)]), np.concatenate(lists)
    monkeypatch.setattr("model.ials.NUMBERS_PER_BLOCK", 30)
    weight_N = random.random(len(other_N), np.float32)
    blocks = list(sums(offset_U1, other_N, row_OK, weight_N))
    assert len(blocks) > 3
    seen = []
    for place_B, sum_BKK, sum_BK, sum_B in blocks:
        for place, outer_KK, sum_K, total in zip(place_B, sum_BKK, sum_BK, sum_B, strict=True):
            rows = row_OK[lists[place]]
            weights = torch.from_numpy(weight_N[offset_U1[place] : offset_U1[place + 1]])
            assert len(rows) > 0
            torch.testing.assert_close(total, weights.sum())
            torch.testing.assert_close(outer_KK, (weights * rows.T) @ rows)
            torch.testing.assert_close(sum_K, weights @ rows)
            seen.append(int(place))
    assert sorted(seen) == [place for place, own in enumerate(lists) if len(own)]
