"""The standard deviation of a rating around its prediction, as two non-negative matrices.

What is not known of a rating is how the draws differ in its score, and the noise around that score,
whose precision is a user's times a movie's. Both are added up over the draws that are kept, at some
pairs of every user and every movie; the pair of matrices whose products come nearest there speaks
for all others (hierarchical alternating least squares: Cichocki and Phan, "Fast Local Algorithms
for Large Scale Nonnegative Matrix and Tensor Factorizations", 2009). It is the deviation that is
fitted and not the variance: so mean - z deviation is two matrices again, which can be ranked by.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.data.collectives import rank_and_ranks
from model.gibbs.half import Half, scores
from model.gibbs.sides import Side, gather_rows

# Pairs of each user, and again of each movie: half with any of the other side, half with those that
# have many ratings, as whoever asks for a prediction has.
PAIRS = 32
# How often each column is solved for.
ROUNDS = 20
# Pairs that count for the mean row beside a row's own.
DAMPING = 2.0
SUMS = ("mean_P", "squares_P", "noise_P")


class Spread:
    """P pairs of rows of both sides, and the moments of what the draws say of them."""

    def __init__(self, users: Side, movies: Side, generator: torch.Generator) -> None:
        user_P, movie_P = some_pairs(users, movies, generator)
        movie_Q, user_Q = some_pairs(movies, users, generator)
        self.user_P, self.movie_P = torch.cat([user_P, user_Q]), torch.cat([movie_P, movie_Q])
        self.draws = 0
        # One for all, and what those of whom there is little to know have besides.
        one_U, one_M = users.count_R.double() ** 0, movies.count_R.double() ** 0
        few_U, few_M = users.count_R.double().rsqrt(), movies.count_R.double().rsqrt()
        self.user_start_RS = torch.stack([one_U, few_U, one_U], 1)
        self.movie_start_RS = torch.stack([one_M, one_M, few_M], 1)
        self.mean_P = torch.zeros(len(self.user_P), device=self.user_P.device)
        self.squares_P = self.mean_P.clone()
        """Of the scores: the sum of squared distances from their mean (Welford)."""
        self.noise_P = self.mean_P.clone()
        """The sum of the variances of the noise."""

    def add(self, users: Half, movies: Half, precision: float) -> None:
        """Add a draw."""
        self.draws += 1
        rank, ranks = rank_and_ranks()
        own = self.user_P[rank::ranks], self.movie_P[rank::ranks]
        score_P = gather_rows(scores(users.row_RK, movies.row_RK, *own), len(self.user_P))
        distance_P = score_P - self.mean_P
        self.mean_P += distance_P / self.draws
        self.squares_P += distance_P * (score_P - self.mean_P)
        self.noise_P += 1 / (precision * users.noise_R[self.user_P] * movies.noise_R[self.movie_P])

    def deviation(self) -> Tensor:
        """Standard deviations of the ratings of the P pairs."""
        variance_P = self.squares_P / max(self.draws - 1, 1) + self.noise_P / max(self.draws, 1)
        return variance_P.double().sqrt()

    def factors(self) -> tuple[Tensor, Tensor]:
        """Rows of users and of movies, none below 0, whose products are the deviations."""
        sd_P = self.deviation()
        user_RS, movie_RS = self.user_start_RS.clone(), self.movie_start_RS.clone()
        rest_P = sd_P - (user_RS[self.user_P] * movie_RS[self.movie_P]).sum(1)
        for _ in range(ROUNDS):
            for user_R, movie_R in zip(user_RS.T, movie_RS.T, strict=True):
                rest_P += user_R[self.user_P] * movie_R[self.movie_P]
                user_R[:] = nearest(rest_P, movie_R[self.movie_P], self.user_P, len(user_R))
                movie_R[:] = nearest(rest_P, user_R[self.user_P], self.movie_P, len(movie_R))
                rest_P -= user_R[self.user_P] * movie_R[self.movie_P]
        return user_RS.float(), movie_RS.float()

    def state_dict(self) -> dict[str, Any]:
        """References to what has been added up."""
        return {name: getattr(self, name) for name in ("draws", *SUMS)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.draws = state["draws"]
        for name in SUMS:
            setattr(self, name, state[name].to(self.user_P.device))


def some_pairs(side: Side, other: Side, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """PAIRS pairs of each row of a side with rows of the other."""
    device, half = side.other_C.device, (len(side), PAIRS // 2)
    any_RH = torch.randint(len(other), half, generator=generator, device=device)
    rating_RH = torch.randint(side.ratings, half, generator=generator, device=device)
    other_RP = torch.cat([any_RH, side.other_C[rating_RH].long()], 1)
    row_R1 = torch.arange(len(side), device=device)[:, None]
    return row_R1.expand_as(other_RP).reshape(-1), other_RP.reshape(-1)


def nearest(value_P: Tensor, by_P: Tensor, row_P: Tensor, rows: int) -> Tensor:
    """Of each row the factor, not below 0, that times `by` comes nearest to its pairs' values."""
    product_P, square_P = value_P * by_P, by_P.square()
    mean, damping = product_P.sum() / square_P.sum(), DAMPING * square_P.mean()
    product_R = torch.bincount(row_P, product_P, rows) + damping * mean
    square_R = torch.bincount(row_P, square_P, rows) + damping
    return (product_R / square_R).clamp(min=0)
