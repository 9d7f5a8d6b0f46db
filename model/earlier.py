"""A model that a training starts from, and which of its rows are whose here.

By id, of an earlier model of the same release; by title and year, of another release's, whose ids
are others (model/titles.py), and whose users are other people.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.factors import Factors, load_factors

Int = NDArray[np.integer]


@dataclass(frozen=True)
class Earlier:
    """An earlier model, and where it holds this training's U users and M movies."""

    folder: Path
    factors: Factors
    user_U: Int
    """Row numbers there; -1 for whom it has not learned of."""
    movie_M: Int
    without: str
    """The setting by which a training starts without it, as train.warm_start=false."""

    @classmethod
    def by_id(cls, folder: Path, user_ids: Int, movie_ids: Int) -> Earlier:
        """The champion's `Factors`. Raises ValueError if they are not whole."""
        factors = load_factors(folder)
        movie_M = factors.learned_movies(movie_ids)
        return cls(
            folder, factors, factors.learned_users(user_ids), movie_M, "train.warm_start=false"
        )

    @property
    def model(self) -> str:
        """Its name in the family."""
        # What was saved before there was a family names no model.
        return self.factors.manifest.get("model", "matrix_factorisation")

    @property
    def here(self) -> tuple[Int, Int]:
        """The row numbers of the movies that it has learned of: here, and there."""
        here = np.flatnonzero(self.movie_M >= 0)
        return here, self.movie_M[here]
