"""The written-out gradient against autograd's, and the schedules worked out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from model.embedding import EmbeddingModel
from model.losses import Objective
from model.settings import TrainingSettings
from model.training.schedules import learning_rate
from tests.model.conftest import SETTINGS


def loss_by_definition(model, objective, settings, user_B, movie_B, rating_B, divisor):
    error_B = model(user_B, movie_B) - rating_B
    if settings.loss == "huber":
        data = 2 * torch.nn.functional.huber_loss(
            error_B, torch.zeros_like(error_B), reduction="sum", delta=settings.huber_delta
        )
    else:
        data = error_B.square().sum()
    rows_CW = model.table[model.rows(user_B, movie_B)]
    user_BW, movie_BW = rows_CW.chunk(2)
    K = model.factors
    penalty = settings.user_regularisation * user_BW[:, :K].square().sum()
    penalty = penalty + settings.movie_regularisation * movie_BW[:, :K].square().sum()
    penalty = penalty + settings.bias_regularisation * rows_CW[:, K:].square().sum()
    return (data + penalty) / divisor


@profile(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 5)), min_size=1),
    st.booleans(),
    st.sampled_from(["mse", "huber"]),
)
def test_the_gradient_is_that_of_the_loss(ratings, biases, loss):
    settings = TrainingSettings(
        **SETTINGS
        | {
            "loss": loss,
            "user_regularisation": 0.1,
            "movie_regularisation": 0.2,
            "bias_regularisation": 0.3,
        }
    )
    torch.manual_seed(0)
    model = EmbeddingModel(6, 4, 3, biases, 3.2, 0.5)
    user_B, movie_B, rating_B = (torch.tensor(column) for column in zip(*ratings, strict=True))
    row_C = model.rows(user_B, movie_B)
    objective = Objective(model, settings)
    gradient_CW, error = objective.gradient(row_C, rating_B.float(), 7, None)
    ours_NW = torch.zeros_like(model.table).index_add_(0, row_C, gradient_CW)
    loss_by_definition(model, objective, settings, user_B, movie_B, rating_B, 7).backward()
    torch.testing.assert_close(ours_NW, model.table.grad, atol=1e-5, rtol=1e-4)
    assert error.item() == pytest.approx(
        (model(user_B, movie_B) - rating_B).square().sum().item(), rel=1e-4
    )


def test_dropout_leaves_out_the_same_factors_of_both_sides():
    settings = TrainingSettings(**SETTINGS | {"dropout": 0.5, "regularisation": 0.0})
    model = EmbeddingModel(1, 1, 16, True, 0.0, 0.5)
    objective = Objective(model, settings)
    generator = torch.Generator().manual_seed(1)
    gradient_CW, _ = objective.gradient(torch.tensor([0, 1]), torch.tensor([9.0]), 1, generator)
    dropped = gradient_CW[:, :16] == 0
    assert torch.equal(dropped[0], dropped[1])
    assert 0 < dropped[0].sum() < 16
    assert gradient_CW[:, 16].all()


@pytest.mark.parametrize(
    ("changes", "epoch", "share", "losses", "expected"),
    [
        ({}, 9, 0.5, [], 1.0),
        ({"schedule": "step"}, 2, 1.0, [], 1.0),
        ({"schedule": "step"}, 3, 0.1, [], 0.5),
        ({"schedule": "cosine", "decay": 0.1}, 1, 0.0, [], 1.0),
        ({"schedule": "cosine", "decay": 0.1}, 6, 0.0, [], 0.55),
        ({"schedule": "cosine", "decay": 0.1}, 10, 1.0, [], 0.1),
        ({"schedule": "plateau"}, 4, 0.0, [3, 2, 2.5], 1.0),
        ({"schedule": "plateau"}, 5, 0.0, [3, 2, 2.5, 2.4], 0.5),
        ({"schedule": "plateau"}, 7, 0.0, [3, 2, 2.5, 2.4, 2.3, 2.2], 0.25),
        ({"warmup_epochs": 2}, 1, 0.5, [], 0.25),
        ({"warmup_epochs": 2}, 3, 0.0, [], 1.0),
    ],
)
def test_the_learning_rate(changes, epoch, share, losses, expected):
    settings = TrainingSettings(**SETTINGS | {"learning_rate": 1.0, "epochs": 10} | changes)
    history = [{"validation_loss": loss} for loss in losses]
    assert learning_rate(settings, epoch, share, history) == pytest.approx(expected)
