"""From trained weights to `Factors`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.embedding import EmbeddingModel
from model.exchange import sum_over_ranks
from model.factors import Factors
from model.ratings import Ratings

POPULAR_DAMPING = 10.0


@dataclass(frozen=True)
class Counts:
    """Training ratings per user and per movie, and their sum per movie, over all ranks."""

    user_U: Tensor
    movie_M: Tensor
    rating_sum_M: Tensor
    touched_N: Tensor
    """Which rows of the table, users first, this rank's own ratings touch."""


def count_ratings(blocks: Iterable[Ratings], users: int, movies: int) -> Counts:
    """Count this rank's ratings, and add up all ranks' counts."""
    user_U, movie_M = torch.zeros(users, dtype=torch.int64), torch.zeros(movies, dtype=torch.int64)
    rating_sum_M = torch.zeros(movies, dtype=torch.float64)
    for block in blocks:
        user_U += torch.bincount(block.user_N, minlength=users)
        movie_M += torch.bincount(block.movie_N, minlength=movies)
        rating_sum_M += torch.bincount(block.movie_N, block.rating_N.double(), minlength=movies)
    touched_N = torch.cat([user_U, movie_M]) > 0
    user_U, movie_M = sum_over_ranks(user_U), sum_over_ranks(movie_M)
    return Counts(user_U, movie_M, sum_over_ranks(rating_sum_M), touched_N)


def export(
    model: EmbeddingModel,
    counts: Counts,
    user_ids: np.ndarray,
    movie_ids: np.ndarray,
    scale: tuple[float, float],
    manifest: dict[str, Any],
) -> Factors:
    """The trained model as `Factors`; rows without training ratings are zeroed.

    `scale` is the lowest and highest rating; `manifest` holds at least `train_mean`.
    """
    user_trained_U = (counts.user_U > 0).numpy()
    movie_trained_M = (counts.movie_M > 0).numpy()
    mean = manifest["train_mean"]
    # The mean, moved towards a movie's own mean the more ratings it has.
    surplus_M = counts.rating_sum_M - mean * counts.movie_M
    popular_M = mean + surplus_M / (POPULAR_DAMPING + counts.movie_M)

    table_NW = model.table.detach().float().cpu().numpy()
    users, factors = model.users, model.factors
    table_NW = np.where(np.r_[user_trained_U, movie_trained_M][:, None], table_NW, np.float32(0))
    bias_N = table_NW[:, factors] if model.biases else np.zeros(len(table_NW), dtype=np.float32)
    return Factors(
        user_UK=table_NW[:users, :factors],
        movie_MK=table_NW[users:, :factors],
        user_bias_U=bias_N[:users],
        movie_bias_M=bias_N[users:],
        user_trained_U=user_trained_U,
        movie_trained_M=movie_trained_M,
        popular_M=popular_M.float().numpy(),
        user_ids_U=user_ids,
        movie_ids_M=movie_ids,
        mean=model.mean,
        rating_min=scale[0],
        rating_max=scale[1],
        movie_count_M=counts.movie_M.numpy().astype(np.int32),
        manifest=manifest,
    )
