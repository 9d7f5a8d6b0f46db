"""A model of order with rows of today's users, made of all that is known of them today."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.histories import Histories
from model.factors import Factors
from model.family import load

Ints = NDArray[np.integer]
USERS_PER_BLOCK = 1024


def with_fresh_rows(
    factors: Factors, folder: Path, histories: Histories, user_ids_U: Ints, movie_ids_M: Ints
) -> Factors:
    """The model that is saved in a folder, with a row for each of U users, who ascend.

    `histories` are these users', one for each; their movies are row numbers in `movie_ids_M`. Those
    that the model has not learned are left out of them. Of whom nothing is left, nothing is known:
    `popular_M` stands in. Raises ValueError, saying which, if the model is none of order.
    """
    # With torch, of which a plan that asks for no rows has no need.
    from model.data.devices import pick_device

    name = factors.manifest.get("model", "matrix_factorisation")
    cls = load(name)
    if cls.objective != "order":
        raise ValueError(f"{folder} holds a model of ratings, {name}, and none of order")
    encoder = cls.encoder(folder, pick_device())
    known = histories.by_movie(factors.learned_movies(movie_ids_M))
    user_UK = np.zeros((len(known), factors.movie_MK.shape[1]), np.float32)
    for start in range(0, len(known), USERS_PER_BLOCK):
        block = known.slice(start, start + USERS_PER_BLOCK)
        user_UK[start : start + len(block)] = encoder.encode(block).float().cpu().numpy()
    return replace(
        factors,
        user_UK=user_UK,
        user_bias_U=np.zeros(len(known), np.float32),
        user_trained_U=known.count_U > 0,
        user_ids_U=user_ids_U,
    )
