"""What reasons are found by: the model that ranks, and what its users have rated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.scoring.folding import Known
from jobs.scoring.models import Models
from model.data.histories import Histories
from model.factors import Factors, index_of

ARRAYS = ("user_U", "offset_U1", "movie_N", "rating_N", "time_N", "split_N")


@dataclass(frozen=True)
class Explained:
    """A version whose scores are explained, and what a run knows of its users."""

    factors: Factors
    folder: Path
    known: Known

    @classmethod
    def of(cls, models: Models, known: Known) -> Explained:
        """By the model of order, if there is one, as it ranks; else by that of ratings."""
        version = models.order or models.rating
        return cls(version.factors, version.folder, known)

    def of_users(self, user_ids_U: NDArray[np.int32]) -> Histories:
        """A history for each user, of what the model has learned of; empty of who has none."""
        known = self.known.histories.by_movie(self.factors.learned_movies(self.known.movie_ids_M))
        place_U = index_of(self.known.user_ids_U, user_ids_U)
        some_U = place_U >= 0
        taken = known.take(place_U[some_U])
        count_U = np.zeros(len(user_ids_U), np.int64)
        count_U[some_U] = taken.count_U
        users = np.arange(len(user_ids_U), dtype=np.int32)
        return Histories(users, np.concatenate([[0], np.cumsum(count_U)]), *taken.columns)


def save_histories(histories: Histories, folder: Path) -> None:
    """Write the arrays into a new folder, for `load_histories`."""
    folder.mkdir()
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(histories, name))


def load_histories(folder: Path) -> Histories:
    """Memory-map what `save_histories` wrote."""
    return Histories(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS))
