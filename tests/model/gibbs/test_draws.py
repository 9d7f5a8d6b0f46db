"""Draws of a Gibbs sampler against what they are draws of."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.ratings import Ratings
from model.gibbs.average import Average, nearest
from model.gibbs.links import Links, conjugate_gradients
from model.gibbs.priors import draw_degrees, draw_normal_wishart
from model.gibbs.rows import draw_rows, weighted_others
from model.gibbs.sides import sides

USERS, MOVIES = 30, 20


def some_ratings(seed: int = 0, users: int = USERS, movies: int = MOVIES, share=0.4) -> Ratings:
    random = np.random.default_rng(seed)
    user, movie = np.nonzero(random.random((users, movies)) < share)
    rating = random.standard_normal(len(user)).astype(np.float32)
    return Ratings(*map(torch.from_numpy, (user.astype(np.int32), movie.astype(np.int32), rating)))


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.02, 0.9), st.integers(1, 3))
def test_every_rating_is_once_in_the_buckets_of_some_rank(seed, share, ranks):
    ratings = some_ratings(seed, share=share)
    users, movies = sides(ratings, USERS, MOVIES)
    found: list[tuple[int, int, float]] = []
    for rank in range(ranks):
        for bucket in users.buckets(rank, ranks, 8, len(movies)):
            row_RL = bucket.row_R[:, None].expand_as(bucket.other_RL)
            real_RL = bucket.other_RL < len(movies)
            assert (bucket.at_RL[~real_RL] == len(ratings)).all()
            rating_E = users.rating_C[bucket.at_RL[real_RL].long()]
            user, movie = users.old_R[row_RL[real_RL]], movies.old_R[bucket.other_RL[real_RL]]
            found += zip(user.tolist(), movie.tolist(), rating_E.tolist(), strict=True)
    columns = (column.tolist() for column in ratings.columns)
    assert sorted(found) == sorted(zip(*columns, strict=True))


def test_a_row_is_drawn_around_the_answer_of_its_regression():
    users, movies = sides(some_ratings(), USERS, MOVIES)
    generator = torch.Generator().manual_seed(0)
    other_OK = torch.randn(len(movies), 4, generator=generator)
    weight_O = torch.rand(len(movies), generator=generator) + 0.5
    centre_RK = torch.randn(len(users), 4, generator=generator)
    root_KK = torch.randn(4, 4, generator=generator)
    prior_KK = root_KK @ root_KK.T + torch.eye(4)
    noise_R = torch.rand(len(users), generator=generator) + 0.5
    normal_RK = torch.randn(len(users), 4, generator=generator)
    others = weighted_others(other_OK, weight_O, 2.0)
    for bucket in users.buckets(0, 1, 4, len(movies)):
        row_R = bucket.row_R
        arguments = (centre_RK[row_R], prior_KK, noise_R[row_R], normal_RK[row_R], None, 5.0)
        rating_RL = torch.cat([users.rating_C, torch.zeros(1)])[bucket.at_RL.long()]
        drawn = draw_rows(bucket, rating_RL, others, *arguments)
        for place, row in enumerate(row_R.tolist()):
            first, last = users.first_R[row], users.first_R[row + 1]
            other = users.other_C[first:last].long()
            x = torch.cat([other_OK[other, :3], torch.ones(len(other), 1)], 1).double()
            y = (users.rating_C[first:last] - other_OK[other, 3]).double()
            w = 2.0 * weight_O[other].double() * noise_R[row].double()
            precision = prior_KK.double() + x.T @ (w[:, None] * x)
            right = prior_KK.double() @ centre_RK[row].double() + x.T @ (w * y)
            mean = torch.linalg.solve(precision, right)
            torch.testing.assert_close(drawn.mean_RK[place].double(), mean, atol=1e-4, rtol=1e-4)
            # The deviation is L^-T times what was drawn.
            lower = torch.linalg.cholesky(precision)
            deviation = torch.linalg.solve(lower.T, normal_RK[row].double())
            given_row = drawn.row_RK[place].double()
            torch.testing.assert_close(given_row - mean, deviation, atol=1e-4, rtol=1e-4)
    error = y - x @ given_row
    assert drawn.squares >= error.square().sum() - 1e-3


@pytest.mark.parametrize(("implicit", "told_features"), [(True, 0), (True, 4), (False, 4)])
def test_links_solve_for_the_regression_on_features(implicit, told_features):
    ratings = some_ratings()
    users, movies = sides(ratings, USERS, MOVIES)
    generator = torch.Generator().manual_seed(0)
    told = torch.randint(2, (len(users), told_features), generator=generator).float()
    links = Links(users, movies, implicit, told)
    whole = torch.zeros(USERS, MOVIES)
    whole[ratings.user_N.long(), ratings.movie_N.long()] = 1
    features = (whole / whole.sum(1, keepdim=True).sqrt())[users.old_R][:, movies.old_R]
    features = torch.cat([features, told] if implicit else [told], 1)
    columns = features.shape[1]
    assert len(links) == columns
    target, noise = (torch.randn(n, 3, generator=generator) for n in (len(users), columns))
    beta, regressed = links.draw(target, noise, torch.zeros_like(noise), 0.5)
    matrix = features.T @ features + 0.5 * torch.eye(columns)
    expected = torch.linalg.solve(matrix, features.T @ target + 0.5**0.5 * noise)
    torch.testing.assert_close(beta, expected, atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(regressed, features @ beta, atol=1e-4, rtol=1e-4)


def test_a_columns_solution_does_not_depend_on_its_neighbours():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(20, 20, generator=generator)
    matrix = root @ root.T + 5 * torch.eye(20)
    right = torch.randn(20, 6, generator=generator) * torch.tensor([1.0, 10, 0.1, 1, 0, 3])

    def solve(columns: slice) -> torch.Tensor:
        part = right[:, columns]
        start = torch.zeros_like(part)
        return conjugate_gradients(lambda x: matrix @ x, part, start, matrix.diagonal()[:, None])

    together = solve(slice(None))
    assert not together[:, 4].any()
    for column in range(6):
        alone = solve(slice(column, column + 1))
        torch.testing.assert_close(together[:, [column]], alone, atol=1e-5, rtol=1e-4)


def test_the_prior_is_drawn_around_the_rows_it_has_seen():
    generator = torch.Generator().manual_seed(0)
    root = torch.tensor([[2.0, 0, 0], [0.5, 1, 0], [-0.3, 0.2, 0.5]])
    rows = torch.randn(20_000, 3, generator=generator) @ root.T + torch.tensor([1.0, -2, 0])
    mean, precision = draw_normal_wishart(rows, torch.zeros(0, 3), 1.0, generator)
    torch.testing.assert_close(mean, torch.tensor([1.0, -2, 0]), atol=0.06, rtol=0)
    expected = torch.linalg.inv(root @ root.T)
    torch.testing.assert_close(precision, expected, atol=0.2, rtol=0.05)


@pytest.mark.parametrize("degrees", [4.0, 30.0])
def test_degrees_of_freedom_are_found(degrees):
    generator = torch.Generator().manual_seed(0)
    shape = torch.full((5000,), degrees / 2, dtype=torch.float64)
    noise = torch._standard_gamma(shape, generator=generator) / (degrees / 2)
    assert draw_degrees(noise, generator) == pytest.approx(degrees, rel=0.2)


@pytest.mark.parametrize("draws", [5, 20])
def test_the_streamed_mean_is_the_mean_and_cut_the_nearest_of_its_width(draws):
    generator = torch.Generator().manual_seed(0)
    count_U, count_M = torch.randint(1, 9, (12,)), torch.randint(1, 9, (9,))
    # All draws vary within 4 directions of either side: nothing is lost on the way.
    base_U, base_M = torch.randn(12, 4), torch.randn(9, 4)
    average, cut = Average(count_U, count_M, 4), Average(count_U, count_M, 2)
    total = torch.zeros(12, 9)
    for _ in range(draws):
        pairs = [
            (base_U @ torch.randn(4, 3), base_M @ torch.randn(4, 3, generator=generator))
            for _ in range(2)
        ]
        total += sum(u @ m.T for u, m in pairs) / 2
        average.add(pairs)
        cut.add(pairs)
    mean = total / draws
    user, movie = average.factors()
    torch.testing.assert_close(user @ movie.T, mean, atol=1e-4, rtol=1e-3)
    if draws == 5:
        # Before anything was cut on the way, it is the nearest in the weighted sense.
        weight = count_U.float().sqrt()[:, None] * count_M.float().sqrt()
        user, movie = cut.factors()
        lost = torch.linalg.norm((user @ movie.T - mean) * weight)
        least = torch.linalg.svdvals(mean * weight)[2:].norm()
        torch.testing.assert_close(lost, least, atol=1e-4, rtol=1e-3)


def test_the_nearest_of_many_columns_is_found_without_all_of_them():
    """As drawn matrices do, these differ a little around one of few columns."""
    generator = torch.Generator().manual_seed(0)
    user_UC = torch.randn(300, 10, generator=generator) @ torch.randn(10, 400, generator=generator)
    movie_MC = torch.randn(200, 400, generator=generator)
    user_UC += 0.3 * torch.randn(300, 400, generator=generator)
    product = user_UC @ movie_MC.T
    user, movie = nearest(user_UC, movie_MC, 24)
    assert user.shape == (300, 24)
    least = torch.linalg.svdvals(product)[24:].norm()
    assert torch.linalg.norm(user @ movie.T - product) < 1.005 * least
