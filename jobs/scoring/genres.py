"""The genres of a run's movies, by id: what lists are chosen by besides scores."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.runs.run import Run
from model.data.movie_genres import movie_genres
from model.factors import index_of
from model.ranking import genres
from model.ranking.lists import Lists


@dataclass(frozen=True)
class Genres:
    """Of all M movies of the data; G genres."""

    movie_ids_M: NDArray[np.int32]
    """Ascending."""
    genre_MG: NDArray[np.bool_]

    @classmethod
    def read(cls, run: Run) -> Genres:
        """As the run's clean movies say."""
        movies = run.data("movies")
        ids = pq.read_table(movies, columns=["movie_id"])["movie_id"].to_numpy()
        ids_M = np.unique(ids).astype(np.int32)
        return cls(ids_M, movie_genres(movies, ids_M)[0])

    def of(self, movie_ids_N: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Flags, N x G; none of a movie that the data does not have."""
        place_N = index_of(self.movie_ids_M, movie_ids_N)
        return self.genre_MG[place_N] & (place_N >= 0)[:, None]

    def distribution(self, lists: Lists) -> NDArray[np.float64]:
        """The share of each genre in lists of movie ids, B x G; nan where none has any."""
        movie_ids_S, place_N = np.unique(lists.value_N, return_inverse=True)
        share_SG = genres.genre_shares(self.of(movie_ids_S))
        return genres.distribution(Lists(lists.offset_B1, place_N.reshape(-1)), share_SG)

    @property
    def digest(self) -> str:
        """Another one where a movie has other genres."""
        told = hashlib.sha256(self.movie_ids_M.astype("<i4").tobytes())
        told.update(np.packbits(self.genre_MG).tobytes())
        return told.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the arrays for `load`."""
        folder.mkdir()
        np.save(folder / "movie_ids.npy", self.movie_ids_M)
        np.save(folder / "genres.npy", self.genre_MG)

    @classmethod
    def load(cls, folder: Path) -> Genres:
        """Memory-map what `save` wrote."""
        return cls(
            *(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("movie_ids", "genres"))
        )
