"""The mean rating and a bias per user and movie: what any model of tastes must beat.

Learned at once by alternating least squares (Koren, "Factor in the Neighbors", 2010, section 2.1;
the usual sweeps and damping are those of Surprise's BaselineOnly). As `Factors` it has no factors:
every user's list is that of the movies rated best, less those rated already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.dataset import Dataset, count_ratings
from model.data.ratings import Ratings
from model.factors import Factors
from model.family import Rows
from model.space import Between, Space


@dataclass(frozen=True)
class BiasesSettings:
    """How biases are learned."""

    sweeps: Annotated[int, Ge(1)]
    """Times that the biases of all movies, and then of all users, are solved for."""
    movie_damping: Annotated[float, Ge(0)]
    """Ratings at which a movie's mean surplus counts by half."""
    user_damping: Annotated[float, Ge(0)]
    """Ratings at which a user's mean surplus counts by half."""


class Biases:
    """The fitter: each rank adds up its own ratings, and all solve for the same biases."""

    Settings = BiasesSettings
    reads = "ratings"
    objective = "rating"
    knows_sd = True
    space: ClassVar[Space] = {
        "movie_damping": Between(1.0, 50.0, log=True),
        "user_damping": Between(1.0, 50.0, log=True),
    }

    def __init__(self, settings: BiasesSettings, data: Dataset, seed: int) -> None:
        self.settings = settings

    def fit(self, data: Dataset) -> Rows:
        """Rows of no factors; biases of users and movies without ratings are zero."""
        device = data.device
        user_bias_U, movie_bias_M, sd = biases_of(data, self.settings)
        return Rows(
            torch.zeros(data.users, 0, device=device),
            torch.zeros(data.movies, 0, device=device),
            user_bias_U.float().to(device),
            movie_bias_M.float().to(device),
            data.mean,
            torch.full((data.users, 1), sd, device=device),
            torch.ones(data.movies, 1, device=device),
        )


def biases_of(data: Dataset, settings: BiasesSettings) -> tuple[Tensor, Tensor, float]:
    """What `solve` finds in the training ratings of all ranks."""

    def blocks() -> Iterator[Ratings]:
        return (block.to(torch.device("cpu")) for block in data.train.blocks())

    counts = data.counts
    return solve(blocks, counts.user_U, counts.movie_M, data.mean, settings)


def solve(
    blocks: Callable[[], Iterator[Ratings]],
    user_count_U: Tensor,
    movie_count_M: Tensor,
    mean: float,
    settings: BiasesSettings,
) -> tuple[Tensor, Tensor, float]:
    """Biases of users and movies in float64, on the CPU, and the deviation of what they leave.

    `blocks` gives this rank's ratings, counts are of all ranks'. The deviation, in rating
    points, is that of all training ratings alike: biases know no better.
    """
    users, movies = len(user_count_U), len(movie_count_M)
    user_bias_U = torch.zeros(users, dtype=torch.float64)
    movie_bias_M = torch.zeros(movies, dtype=torch.float64)
    for _ in range(settings.sweeps):
        movie_sum_M = torch.zeros(movies, dtype=torch.float64)
        for block in blocks():
            rest_B = block.rating_N.double() - mean - user_bias_U[block.user_N.long()]
            movie_sum_M += torch.bincount(block.movie_N, rest_B, movies)
        movie_bias_M = shrunk(movie_sum_M, movie_count_M, settings.movie_damping)
        user_sum_U = torch.zeros(users, dtype=torch.float64)
        for block in blocks():
            rest_B = block.rating_N.double() - mean - movie_bias_M[block.movie_N.long()]
            user_sum_U += torch.bincount(block.user_N, rest_B, users)
        user_bias_U = shrunk(user_sum_U, user_count_U, settings.user_damping)
    squares = torch.zeros(1, dtype=torch.float64)
    for block in blocks():
        rest_B = block.rating_N.double() - mean - movie_bias_M[block.movie_N.long()]
        squares += (rest_B - user_bias_U[block.user_N.long()]).square().sum()
    variance = sum_over_ranks(squares) / user_count_U.sum()
    return user_bias_U, movie_bias_M, variance.sqrt().item()


def shrunk(sum_N: Tensor, count_N: Tensor, damping: float) -> Tensor:
    """Means over all ranks' ratings, moved towards 0; 0 where there is no rating."""
    divisor_N = (damping + count_N).clamp(min=torch.finfo(torch.float64).tiny)
    return sum_over_ranks(sum_N) / divisor_N


def biases_beside(factors: Factors, train: Ratings, settings: BiasesSettings) -> Factors:
    """The biases of the ratings that `factors` learned from, over the same users and movies."""
    counts = count_ratings(iter([train]), len(factors.user_ids_U), len(factors.movie_ids_M))
    mean = train.rating_N.double().mean().item()
    user_bias_U, movie_bias_M, sd = solve(
        lambda: iter([train]), counts.user_U, counts.movie_M, mean, settings
    )
    return replace(
        factors,
        user_UK=torch.zeros(len(user_bias_U), 0).numpy(),
        movie_MK=torch.zeros(len(movie_bias_M), 0).numpy(),
        user_bias_U=user_bias_U.float().numpy(),
        movie_bias_M=movie_bias_M.float().numpy(),
        user_sd_US=np.full((len(user_bias_U), 1), sd, np.float32),
        movie_sd_MS=np.ones((len(movie_bias_M), 1), np.float32),
        mean=mean,
        noise=sd**2,
        manifest=manifest_of(factors, settings),
    )


def manifest_of(factors: Factors, settings: BiasesSettings) -> dict[str, Any]:
    """That of the model beside, less what only its own training has."""
    own = {"metrics", "history", "started_from"}
    kept = {key: value for key, value in factors.manifest.items() if key not in own}
    return kept | {"model": "biases", "settings": vars(settings)}
