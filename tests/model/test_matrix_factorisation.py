"""The written-out gradient against autograd's; a start from a model whose ids partly overlap."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from model.earlier import Earlier
from model.matrix_factorisation import EmbeddingModel, Objective, start_from
from tests.model.conftest import settings as changed
from tests.model.examples import factors


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
    settings = changed(
        loss=loss, user_regularisation=0.1, movie_regularisation=0.2, bias_regularisation=0.3
    )
    torch.manual_seed(0)
    model = EmbeddingModel(6, 4, 3, biases, 3.2, 0.5)
    user_B, movie_B, rating_B = (torch.tensor(column) for column in zip(*ratings, strict=True))
    objective = Objective(model, settings)
    loss_by_definition(model, objective, settings, user_B, movie_B, rating_B, 7).backward()
    squares = (model(user_B, movie_B) - rating_B).square().sum().item()
    assert objective.kernel
    # By the kernel, and by torch as on a GPU.
    for _ in range(2):
        row_D, gradient_DW, error = objective.gradient(user_B, movie_B, rating_B.float(), 7)
        assert len(row_D) == len(row_D.unique())
        ours_NW = torch.zeros_like(model.table).index_copy_(0, row_D, gradient_DW)
        torch.testing.assert_close(ours_NW, model.table.grad, atol=1e-5, rtol=1e-4)
        assert error.item() == pytest.approx(squares, rel=1e-4)
        objective.kernel = None


def test_dropout_leaves_out_the_same_factors_of_both_sides():
    settings = changed(dropout=0.5, regularisation=0.0)
    model = EmbeddingModel(1, 1, 16, True, 0.0, 0.5)
    objective = Objective(model, settings)
    generator = torch.Generator().manual_seed(1)
    first, rating_B = torch.tensor([0]), torch.tensor([9.0])
    _, gradient_DW, _ = objective.gradient(first, first, rating_B, 1, generator)
    dropped = gradient_DW[:, :16] == 0
    assert torch.equal(dropped[0], dropped[1])
    assert 0 < dropped[0].sum() < 16
    assert gradient_DW[:, 16].all()


@pytest.fixture
def earlier():
    """Users 1, 2, 3 and movies 10, 11, of which user 3 was never trained."""
    return factors(
        [[1, 2], [3, 4], [0, 0]],
        [[5, 6], [7, 8]],
        movie_bias_M=[0.1, 0.2],
        user_bias_U=np.array([0.3, 0.4, 0], np.float32),
        user_trained_U=np.array([True, True, False]),
        mean=3.0,
    )


def known(earlier, user_ids, movie_ids) -> Earlier:
    """By id, whichever folder it lies in."""
    users, movies = earlier.learned_users(user_ids), earlier.learned_movies(movie_ids)
    return Earlier(Path("earlier"), earlier, users, movies, "train.warm_start=false")


def test_known_pairs_keep_their_score_and_others_start_fresh(earlier):
    model = EmbeddingModel(3, 3, 2, True, 3.5, 0.01)
    fresh = model.table.detach().clone()
    user_ids, movie_ids = np.array([2, 3, 9]), np.array([9, 10, 11])
    assert start_from(model, known(earlier, user_ids, movie_ids)) == (1, 2)
    table = model.table.detach()
    assert table[0].tolist() == pytest.approx([3, 4, 0.4])
    assert (table[1:4] == fresh[1:4]).all()
    score = earlier.predict(np.array([1]), np.array([0]), clip=False)[0]
    assert model(torch.tensor([0]), torch.tensor([1])).item() == pytest.approx(score)


@pytest.mark.parametrize(
    ("size", "biases", "sentence"),
    [
        (3, True, r"has 2 factors, and train\.matrix_factorisation\.factors is 3"),
        (2, False, r"has biases"),
    ],
)
def test_a_model_of_another_form_is_refused(earlier, size, biases, sentence):
    model = EmbeddingModel(3, 3, size, biases, 3.5, 0.01)
    with pytest.raises(ValueError, match=sentence):
        start_from(model, known(earlier, np.arange(3), np.arange(3)))
