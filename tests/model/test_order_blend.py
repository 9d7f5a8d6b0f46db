"""A blend of models of order: its weights, its cut, and a member that is named twice."""

from pathlib import Path

import horovod.torch as hvd
import numpy as np
import pytest
import torch

from model.data.datasets import read_dataset
from model.data.histories import VALIDATION
from model.factors import load_factors
from model.family import Encoder, load
from model.order_blend import cut
from model.order_weights import cross_entropy, fit_weights
from model.training.loop import train
from tests.model.data.test_histories import HISTORIES


class Known:
    """An encoder whose rows are given by user."""

    def __init__(self, user_UK):
        self.user_UK = user_UK

    def encode(self, histories):
        return self.user_UK[torch.from_numpy(histories.user_U).long()]


def test_a_member_that_knows_weighs_and_one_that_guesses_does_not(spec):
    hvd.init()
    data = read_dataset(spec(model="order_blend"), torch.device("cpu"))
    next_UM = torch.zeros(data.users, data.movies)
    wanted = data.histories.of(VALIDATION)
    next_UM[wanted.user_U[wanted.owner_N], wanted.movie_N] = 1
    random = torch.randn(next_UM.shape, generator=torch.Generator().manual_seed(1))
    # It knows half of the users' next movies; of the others it says the opposite.
    knows_UM = next_UM * torch.where(torch.arange(data.users) % 4 > 0, 1.0, -1.0)[:, None]
    parts: list[Encoder] = [Known(part) for part in (random, 100 * knows_UM, -next_UM)]
    none_M, own_MM = torch.zeros(data.movies), torch.eye(data.movies)
    guess, known, opposite = fit_weights(parts, [own_MM] * 3, [none_M] * 3, data)
    assert known > 0.01
    assert abs(guess) < 0.5
    assert opposite == 0


def test_the_slope_of_the_cross_entropy_is_autograds():
    weight_S = torch.tensor([0.5, 2.0], requires_grad=True)
    score_SBM = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(2))
    learned_M = torch.arange(8) != 7
    value, *slope = cross_entropy(weight_S.detach(), score_SBM, HISTORIES, learned_M).tolist()
    # Of the three users, one has a validation movie, 5, and has rated 4; movie 7 is not known.
    total_M = (weight_S[:, None] * score_SBM[:, 0]).sum(0)
    left = torch.tensor([0, 1, 2, 3, 5, 6])
    loss = total_M[left].logsumexp(0) - total_M[5]
    (slope_S,) = torch.autograd.grad(loss, weight_S)
    one = cross_entropy(weight_S.detach(), score_SBM[:, :1], HISTORIES.slice(0, 1), learned_M)
    assert one.tolist() == pytest.approx([loss.item(), *slope_S.tolist()], rel=1e-4)
    assert len(slope) == 2
    assert np.isfinite(value)


def test_a_cut_to_all_that_there_is_loses_nothing_and_one_to_fewer_the_least():
    random = torch.Generator().manual_seed(3)
    user_UC, movie_MC = (torch.randn(rows, 5, generator=random) for rows in (30, 12))
    whole_UM = user_UC @ movie_MC.T
    turn_CK, movie_MK = cut(user_UC, movie_MC, 5)
    torch.testing.assert_close(user_UC @ turn_CK @ movie_MK.T, whole_UM, atol=1e-4, rtol=1e-4)
    turn_CK, movie_MK = cut(user_UC, movie_MC, 2)
    left = torch.linalg.svdvals(whole_UM)[2:].norm().item()
    assert (user_UC @ turn_CK @ movie_MK.T - whole_UM).norm().item() == pytest.approx(
        left, rel=1e-3
    )


@pytest.mark.parametrize("width", [None, 12])
def test_its_scores_are_the_weighted_sum_of_members_of_which_one_was_trained_twice(spec, width):
    chosen = spec(model="order_blend", width=width)
    metrics = train(chosen)
    factors, folder = load_factors(Path(chosen.output)), Path(chosen.output) / "encoder"
    assert sorted(f.name for f in folder.iterdir() if f.is_dir()) == [
        "recency",
        "recency-2",
        "ridge",
    ]
    assert metrics["validation_ndcg"] > 0.5
    figures = factors.manifest["choices"]["figures"]
    encoder = load("order_blend").encoder(Path(chosen.output), torch.device("cpu"))
    assert encoder.weights == list(figures.values())
    whole = factors.user_UK @ factors.movie_MK.T + factors.movie_bias_M
    hvd.init()
    data = read_dataset(chosen, torch.device("cpu"))
    one, other = (member.encode(data.histories) for member in encoder.members[1:])
    assert not torch.allclose(one, other)
    assert whole.shape == (data.users, data.movies)
    assert factors.user_UK.shape[1] == (width or 30 + 16 + 16)
