"""What a user thinks of genres, years and words in titles: a regression for each user.

    rating = mean + user_bias + movie_bias + user_row . movie_row

A movie's row is what the release says of it (model/data/movie_content.py), cut to its leading
numbers. A user's row is the ridge regression on these of what the biases leave of the user's
ratings: a mean of the rows of movies, weighted by how much more or less than expected the user
liked them, put right for what these have in common (Pazzani and Billsus, "Content-Based
Recommendation Systems", 2007). It is a model of ratings, as a regression on few numbers is of what
is liked: what is rated next, taste in genres hardly says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt

from model.biases import BiasesSettings, biases_of
from model.data.collectives import gather_ratings, rank_and_ranks, sum_over_ranks
from model.data.dataset import Dataset
from model.data.movie_content import movie_content, shortened
from model.family import Rows
from model.fold_in import regressions
from model.space import Between, Space


@dataclass(frozen=True)
class ContentSettings(BiasesSettings):
    """What is known of movies, and how much of it users' ratings are believed to be about."""

    factors: Annotated[int, Ge(1)]
    """Length of a row: what is said of movies is cut to so many numbers, if there is more."""
    penalty: Annotated[float, Gt(0)]
    """Of the regressions, in ratings of a movie of which one thing alone is said."""


class Content:
    """The fitter: each rank solves for some of the users, of all of whom it holds the ratings."""

    Settings = ContentSettings
    reads = "ratings"
    objective = "rating"
    space: ClassVar[Space] = {
        "factors": Between(16, 256, log=True),
        "penalty": Between(1.0, 100.0, log=True),
        "movie_damping": Between(1.0, 50.0, log=True),
        "user_damping": Between(1.0, 50.0, log=True),
    }

    def __init__(self, settings: ContentSettings, data: Dataset, seed: int) -> None:
        self.settings, self.seed = settings, seed

    def fit(self, data: Dataset) -> Rows:
        """Biases of all, content of movies, and a regression on it of each user."""
        settings = self.settings
        user_bias_U, movie_bias_M, _ = biases_of(data, settings)
        content = movie_content(data.tables["movie"], data.movie_ids)
        movie_MK = shortened(content, settings.factors, self.seed)
        ratings = gather_ratings(data.train, torch.device("cpu"))
        rank, ranks = rank_and_ranks()
        own = ratings.take((ratings.user_N % ranks == rank).nonzero()[:, 0])
        own = own.take(own.user_N.argsort(stable=True))
        user_N, movie_N = own.user_N.long(), own.movie_N.long()
        rest_N = own.rating_N - data.mean - user_bias_U[user_N] - movie_bias_M[movie_N]
        offset_U1 = np.searchsorted(user_N.numpy(), np.arange(data.users + 1))
        row_UK = regressions(
            offset_U1, rest_N.numpy(), movie_N.numpy(), movie_MK.astype(float), settings.penalty
        )
        return Rows(
            sum_over_ranks(torch.from_numpy(row_UK)).float().to(data.device),
            torch.from_numpy(movie_MK).to(data.device),
            user_bias_U.float().to(data.device),
            movie_bias_M.float().to(data.device),
            data.mean,
        )
