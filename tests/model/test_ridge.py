"""The ridge on decayed histories: its counts are those of its definition."""

import numpy as np
import pytest
import torch

from model.ridge import LEAST_PART, RidgeEncoder, count_pairs
from tests.model.data.test_histories import histories_of

DECAYS = (1.5, 4.0)


def past(movies: list[int], decay: float, size: int) -> np.ndarray:
    """x after these movies."""
    x = np.zeros(size)
    for lag, movie in enumerate(reversed(movies)):
        x[movie] += np.exp(-lag / decay)
    return x


def test_counts_are_those_of_the_past_of_each_target():
    lists, weight_N = [[0, 2, 1, 3], [3, 1], [2], [1, 0, 2]], np.arange(1.0, 11.0)
    both, then, place = np.zeros((2, 4, 2, 4)), np.zeros((2, 4, 4)), 0
    for movies in lists:
        for end in range(1, len(movies)):
            x_DR = np.stack([past(movies[:end], decay, 4) for decay in DECAYS])
            weight = weight_N[place + end]
            both += weight * np.einsum("ar,bs->arbs", x_DR, x_DR)
            then[:, :, movies[end]] += weight * x_DR
        place += len(movies)
    found = count_pairs(histories_of(lists), np.arange(4), 4, DECAYS, weight_N)
    np.testing.assert_allclose(found[0], both, atol=2 * LEAST_PART * weight_N.sum())
    np.testing.assert_allclose(found[1], then, atol=LEAST_PART * weight_N.sum())
    # One movie left out: it is no target and has no part, and yet is a lag.
    part_M = np.array([0, 1, -1, 2])
    kept = [0, 1, 3]
    fewer = count_pairs(histories_of(lists), part_M, 3, DECAYS, weight_N)
    np.testing.assert_allclose(fewer[1], then[:, kept][:, :, kept], atol=0.1)
    np.testing.assert_allclose(fewer[0], both[:, kept][:, :, :, kept], atol=0.1)


def test_a_users_row_is_the_decayed_past_times_the_movies_rows():
    row_DRK = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    encoder = RidgeEncoder(DECAYS, torch.tensor([0, 1, -1, 2]), row_DRK)
    found = encoder.encode(histories_of([[0, 2, 3], [], [2]]))
    wanted = sum(
        past([0, 2, 3], decay, 4)[[0, 1, 3]] @ row_RK.numpy()
        for decay, row_RK in zip(DECAYS, row_DRK, strict=True)
    )
    assert found[0].numpy() == pytest.approx(wanted, abs=1e-6)
    assert not found[1:].any()
