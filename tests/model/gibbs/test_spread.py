"""Deviations of ratings from drawn scores and noise, as two matrices."""

import torch

from model.gibbs.half import Half
from model.gibbs.sides import sides
from model.gibbs.spread import Spread
from tests.model.gibbs.test_draws import MOVIES, USERS, some_ratings

DRAWS = 400


def spread_of(user_noise_R, movie_noise_R, user_sd_R, movie_sd_R) -> Spread:
    """What biases say that vary so much around 0 from draw to draw, and noise of such variances."""
    generator = torch.Generator().manual_seed(0)
    users, movies = sides(some_ratings(), USERS, MOVIES)
    halves = Half(users, movies, 2, False, True), Half(movies, users, 2, False, True)
    for half, noise_R in zip(halves, (user_noise_R, movie_noise_R), strict=True):
        half.noise_R = 1 / noise_R
    spread = Spread(users, movies, generator)
    for _ in range(DRAWS):
        for half, sd_R in zip(halves, (user_sd_R, movie_sd_R), strict=True):
            half.row_RK = torch.zeros(len(sd_R), 3)
            half.row_RK[:, -1] = 0.7 + sd_R * torch.randn(len(sd_R), generator=generator)
        spread.add(*halves, precision=4.0)
    return spread


def test_the_two_parts_of_the_variance_add_up():
    user_noise_R = torch.linspace(0.5, 2, USERS)
    movie_noise_R = torch.linspace(1.5, 0.7, MOVIES)
    user_sd_R, movie_sd_R = torch.linspace(1, 0.1, USERS), torch.linspace(0.8, 0.1, MOVIES)
    spread = spread_of(user_noise_R, movie_noise_R, user_sd_R, movie_sd_R)
    scores = user_sd_R[:, None].square() + movie_sd_R.square()
    noise = user_noise_R[:, None] * movie_noise_R / 4
    expected = (scores + noise).sqrt()
    found = spread.deviation().float()
    wanted = expected[spread.user_P, spread.movie_P]
    torch.testing.assert_close(found, wanted, rtol=0.15, atol=0)
    user_RS, movie_RS = spread.factors()
    assert (user_RS >= 0).all()
    assert (movie_RS >= 0).all()
    # Of pairs that were not looked at, too.
    torch.testing.assert_close(user_RS @ movie_RS.T, expected, rtol=0.12, atol=0)


def test_scores_that_do_not_vary_leave_the_noise():
    nothing = torch.zeros(USERS), torch.zeros(MOVIES)
    user_noise_R, movie_noise_R = torch.linspace(0.5, 2, USERS), torch.linspace(1.5, 0.7, MOVIES)
    spread = spread_of(user_noise_R, movie_noise_R, *nothing)
    user_RS, movie_RS = spread.factors()
    expected = (user_noise_R[:, None] * movie_noise_R / 4).sqrt()
    torch.testing.assert_close(user_RS @ movie_RS.T, expected, rtol=0.03, atol=0)


def test_it_goes_on_from_its_state():
    ones = torch.ones(USERS), torch.ones(MOVIES)
    spread = spread_of(*ones, *ones)
    users, movies = sides(some_ratings(), USERS, MOVIES)
    other = Spread(users, movies, torch.Generator().manual_seed(0))
    other.load_state_dict(spread.state_dict())
    torch.testing.assert_close(other.factors(), spread.factors(), rtol=0, atol=0)
