"""From trained weights to `Factors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import horovod.torch as hvd
import numpy as np
import torch
from torch import Tensor

from model.embedding import EmbeddingModel
from model.factors import Factors
from model.ratings import Ratings

POPULAR_DAMPING = 10.0


@dataclass(frozen=True)
class Counts:
    """Training ratings per user and per movie, and their sum per movie, over all ranks."""

    user_U: Tensor
    movie_M: Tensor
    rating_sum_M: Tensor


def count_ratings(shard: Ratings, users: int, movies: int) -> Counts:
    """Count this rank's ratings, and add up all ranks' counts."""
    rating_sum = torch.bincount(shard.movie_N, shard.rating_N.double(), minlength=movies)
    return Counts(
        hvd.allreduce(torch.bincount(shard.user_N, minlength=users), op=hvd.Sum),
        hvd.allreduce(torch.bincount(shard.movie_N, minlength=movies), op=hvd.Sum),
        hvd.allreduce(rating_sum, op=hvd.Sum),
    )


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

    def learned(name: str, trained: np.ndarray) -> np.ndarray:
        weight = getattr(model, name).weight.detach().float().cpu().numpy()
        return np.where(trained[:, None], weight, np.float32(0))

    no_bias = np.zeros(1, dtype=np.float32)
    return Factors(
        user_UK=learned("user", user_trained_U),
        movie_MK=learned("movie", movie_trained_M),
        user_bias_U=learned("user_bias", user_trained_U)[:, 0]
        if model.biases
        else no_bias.repeat(len(user_ids)),
        movie_bias_M=learned("movie_bias", movie_trained_M)[:, 0]
        if model.biases
        else no_bias.repeat(len(movie_ids)),
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
