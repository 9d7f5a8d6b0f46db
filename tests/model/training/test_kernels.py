"""Loops over rows in C; test_matrix_factorisation.py holds gradients against autograd's."""

import pytest
import torch

from model.training import kernels
from model.training.kernels import RatingGradients, adam

USERS, MOVIES, FACTORS = 40, 30, 19


@pytest.fixture
def threads():
    """Sets how many there are, and sets them back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def kernel() -> RatingGradients:
    return RatingGradients(USERS, MOVIES, FACTORS, *torch.rand(2, FACTORS + 1))


def batch(ratings: int, seed: int = 0) -> list[torch.Tensor]:
    """A table, and users, movies and their ratings, most of them repeatedly."""
    random = torch.Generator().manual_seed(seed)
    table = torch.randn(USERS + MOVIES, FACTORS + 1, generator=random)
    rows = (torch.randint(n, (ratings,), generator=random) for n in (USERS, MOVIES))
    return [table, *rows, torch.rand(ratings, generator=random) * 5]


def test_the_number_of_threads_changes_nothing(kernel, threads):
    results = []
    for number in (1, 2, 7):
        threads(number)
        table, *pairs = batch(500)
        found = kernel(table, *pairs, 3.0, 1.5, 500)
        row_D, gradient_DW, squares = (value.clone() for value in found)
        tables = [table, torch.zeros_like(table), torch.zeros_like(table)]
        adam(tables, row_D, gradient_DW, (0.9, 0.999), 1e-8, 1, 0.1)
        results.append([row_D, gradient_DW, squares, *tables])
    for others in results[1:]:
        for value, other in zip(results[0], others, strict=True):
            assert torch.equal(value, other)


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


def test_it_says_how_to_build_them(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    kernels.library.cache_clear()
    with pytest.raises(ValueError, match="make environments"):
        kernels.library()
