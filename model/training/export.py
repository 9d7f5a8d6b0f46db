"""From trained weights to `Factors`."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.data.dataset import Counts
from model.embedding import EmbeddingModel
from model.factors import Factors

POPULAR_DAMPING = 10.0


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
        train_mean=mean,
        movie_count_M=counts.movie_M.numpy().astype(np.int32),
        manifest=manifest,
    )
