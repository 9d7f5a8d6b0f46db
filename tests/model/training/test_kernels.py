"""Loops over rows in C; test_matrix_factorisation.py holds gradients against autograd's."""

from hashlib import md5

import pytest
import torch

from model.training import kernels
from model.training.kernels import RatingGradients, adam
from model.training.optimisers import BETA1, BETA2, EPSILON, move_by_rule

USERS, MOVIES, FACTORS = 40, 30, 19


@pytest.fixture
def kernel() -> RatingGradients:
    return RatingGradients(USERS, MOVIES, FACTORS, *torch.rand(2, FACTORS + 1))


def batch(ratings: int, seed: int = 0) -> list[torch.Tensor]:
    """A table, and users, movies and their ratings, most of them repeatedly."""
    random = torch.Generator().manual_seed(seed)
    table = torch.randn(USERS + MOVIES, FACTORS + 1, generator=random)
    rows = (torch.randint(n, (ratings,), generator=random) for n in (USERS, MOVIES))
    return [table, *rows, torch.rand(ratings, generator=random) * 5]


def test_adam_is_torchs():
    table, row_D = torch.randn(6, 5), torch.tensor([4, 0, 3])
    ours, theirs = ([table.clone(), *torch.zeros(2, 6, 5)] for _ in range(2))
    for step in (1, 2, 3):
        gradient_DW = torch.randn(3, 5)
        adam(ours, row_D, gradient_DW, (BETA1, BETA2), EPSILON, step, 0.1)
        state = [each[row_D] for each in theirs]
        move_by_rule("adam", state, gradient_DW, step, 0.1)
        for each, moved in zip(theirs, state, strict=True):
            each[row_D] = moved
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("user", "movie"), [(USERS, 0), (0, MOVIES), (-1, 0), (0, -1)])
def test_rows_that_the_table_lacks_are_refused(kernel, user, movie):
    table, user_B, movie_B, rating_B = batch(50)
    before = kernel(table, user_B, movie_B, rating_B, 3.0, None, 50)[1].clone()
    wrong_user_B, wrong_movie_B = user_B.clone(), movie_B.clone()
    wrong_user_B[20], wrong_movie_B[20] = user, movie
    with pytest.raises(IndexError, match="user or movie that the table does not have"):
        kernel(table, wrong_user_B, wrong_movie_B, rating_B, 3.0, None, 50)
    # What it had noted of that batch is gone.
    assert torch.equal(kernel(table, user_B, movie_B, rating_B, 3.0, None, 50)[1], before)


def test_no_row_moves_if_one_is_none_of_the_tables():
    tables = [torch.ones(4, 3) for _ in range(3)]
    with pytest.raises(IndexError, match="none of the table's"):
        adam(tables, torch.tensor([1, 4]), torch.ones(2, 3), (0.9, 0.999), 1e-8, 1, 0.1)
    assert all((table == 1).all() for table in tables)


def test_sizes_that_do_not_fit_are_refused(kernel):
    table, user_B, movie_B, rating_B = batch(50)
    with pytest.raises(ValueError, match="Sizes are"):
        kernel(table, user_B[1:], movie_B, rating_B, 3.0, None, 50)
    with pytest.raises(ValueError, match="Sizes are"):
        adam([table] * 3, torch.tensor([1]), torch.ones(1, 3), (0.9, 0.999), 1e-8, 1, 0.1)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("find_spec", lambda name: None, "has not been built"),
        ("sha256", lambda content: md5(content), "is not what"),
    ],
)
def test_it_says_how_to_build_them(monkeypatch, name, value, words):
    monkeypatch.setattr(kernels, name, value)
    kernels.library.cache_clear()
    with pytest.raises(ValueError, match=f"{words}.* make environments"):
        kernels.library()
