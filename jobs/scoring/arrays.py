"""Lists of movies per user, as arrays to memory-map."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

# Users whose lists are compared together.
BLOCK = 20_000


@dataclass(frozen=True)
class UserMovies:
    """U users in the order of ids; the movies of user u, ascending, lie at offsets u to u + 1."""

    user_ids_U: NDArray[np.int32]
    offset_U1: NDArray[np.int64]
    movie_ids_N: NDArray[np.int32]

    def of(self, user: int) -> NDArray[np.int32]:
        """The movies of the user in one place."""
        return self.movie_ids_N[self.offset_U1[user] : self.offset_U1[user + 1]]

    def save(self, folder: Path) -> None:
        """Write the arrays for `load_user_movies`."""
        folder.mkdir(parents=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))


@cache
def load_user_movies(folder: Path) -> UserMovies:
    """Memory-map what was saved; once in a process."""
    names = [field.name for field in fields(UserMovies)]
    return UserMovies(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names})


def read_candidates(folder: Path | None) -> UserMovies:
    """The lists of candidates that a run has kept, sorted by user and movie; without any, none."""
    if folder is None:
        return UserMovies(np.empty(0, np.int32), np.zeros(1, np.int64), np.empty(0, np.int32))
    rows = pq.read_table(folder)
    user_ids, first = np.unique(rows["user_id"].to_numpy(), return_index=True)
    offset = np.append(first, len(rows)).astype(np.int64)
    return UserMovies(user_ids.astype(np.int32), offset, rows["movie_id"].to_numpy())


class Rows(NamedTuple):
    """R recommendations, by user and rank."""

    user_id_R: NDArray[np.int32]
    rank_R: NDArray[np.integer]
    movie_idx_R: NDArray[np.integer]
    predicted_R: NDArray[np.float32]
    """On the rating scale."""
    popular_R: NDArray[np.bool_]
    """Whether it rests on popularity rather than on the model."""
    score_R: NDArray[np.float32]
    """What ranks the movies: not clipped, and damped if the run says so."""
