"""From what a model has learned to `Factors`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.data.dataset import Dataset
from model.data.histories import read_histories
from model.data.history_data import HistoryData
from model.factors import Factors
from model.family import Rows
from model.known_ratings import digests


def export(
    rows: Rows,
    data: Dataset | HistoryData,
    manifest: dict[str, Any],
    noise: float | None = None,
    known_U: NDArray[np.uint64] | None = None,
) -> Factors:
    """`Factors` of these rows; of no training ratings they are zero, and said so.

    `noise` and `known_U` are what later users are folded in by.
    """
    counts = data.counts
    user_trained_U = (counts.user_U > 0).numpy()
    movie_trained_M = (counts.movie_M > 0).numpy()
    return Factors(
        user_UK=trained(rows.user_UK, user_trained_U),
        movie_MK=trained(rows.movie_MK, movie_trained_M),
        user_bias_U=trained(rows.user_bias_U, user_trained_U),
        movie_bias_M=trained(rows.movie_bias_M, movie_trained_M),
        user_trained_U=user_trained_U,
        movie_trained_M=movie_trained_M,
        popular_M=data.popular_M.numpy(),
        user_ids_U=data.user_ids,
        movie_ids_M=data.movie_ids,
        mean=rows.mean,
        rating_min=data.rating_min,
        rating_max=data.rating_max,
        train_mean=data.mean,
        user_sd_US=None if rows.user_sd_US is None else trained(rows.user_sd_US, user_trained_U),
        movie_sd_MS=None
        if rows.movie_sd_MS is None
        else trained(rows.movie_sd_MS, movie_trained_M),
        dates=rows.dates,
        movie_count_M=counts.movie_M.numpy().astype(np.int32),
        noise=noise,
        known_U=known_U,
        manifest=manifest,
    )


def known_ratings(
    histories: Path, user_ids_U: NDArray[np.integer], movie_ids_M: NDArray[np.integer]
) -> NDArray[np.uint64]:
    """Digests of what each of U users has rated; 0 of whom there is no history."""
    known = read_histories(histories)
    digest_U = np.zeros(len(user_ids_U), np.uint64)
    digest_U[known.user_U] = digests(known, movie_ids_M)
    return digest_U


def trained(values: Tensor, trained_N: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Rows, or numbers one a row, as they are where there was a rating, and zero elsewhere."""
    array = values.detach().float().cpu().numpy()
    return np.where(trained_N.reshape(-1, *[1] * (array.ndim - 1)), array, np.float32(0))
