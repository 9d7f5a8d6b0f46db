"""Start from the rows of an earlier model: the same ids go on, new users and movies start fresh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from model.embedding import EmbeddingModel
from model.factors import load_factors


def start_from(
    model: EmbeddingModel, folder: Path, user_ids: np.ndarray, movie_ids: np.ndarray
) -> tuple[int, int]:
    """Copy the trained rows of `Factors` by id; returns how many users and movies were known.

    Pairs of known users and movies keep their score: a mean that has changed moves to the biases.
    Raises ValueError if the model has another number of factors, or no biases to put theirs in.
    """
    factors = load_factors(folder)
    known = factors.user_UK.shape[1]
    if known != model.factors:
        raise ValueError(
            f"The model to start from, {folder}, has {known} factors, and train.factors is "
            f"{model.factors}. Set train.factors={known}, or start without it."
        )
    with_biases = factors.mean != 0 or factors.user_bias_U.any() or factors.movie_bias_M.any()
    if with_biases and not model.biases:
        raise ValueError(
            f"The model to start from, {folder}, has biases, and train.biases is false. "
            "Set train.biases=true, or start without it."
        )
    sides = (
        (0, factors.user_idx(user_ids), factors.user_trained_U, factors.user_UK),
        (model.users, factors.movie_idx(movie_ids), factors.movie_trained_M, factors.movie_MK),
    )
    biases = (factors.user_bias_U, factors.movie_bias_M + (factors.mean - model.mean))
    table = model.table.detach()
    counts = []
    for (first, idx, trained, rows), bias in zip(sides, biases, strict=True):
        here = np.flatnonzero((idx >= 0) & trained[np.maximum(idx, 0)])
        there = idx[here]
        values = rows[there]
        if model.biases:
            values = np.concatenate([values, bias[there, None]], axis=1, dtype=np.float32)
        table[torch.from_numpy(here + first)] = torch.tensor(values, device=table.device)
        counts.append(len(here))
    return counts[0], counts[1]
