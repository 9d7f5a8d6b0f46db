"""What users rated, in the order in which they did, and reading it whole from Parquet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.files import whole_folder

TRAIN, VALIDATION, TEST = 0, 1, 2
UNKNOWN = -1
"""The time of a rating that has none."""
COLUMNS = ["user_idx", "movie_idx", "rating", "rated_at", "split"]


@dataclass(frozen=True)
class Histories:
    """The ratings of U users, N in all, one user's after another's and oldest first.

    Those of the u-th of them stand at `offset_U1[u]` to before `offset_U1[u + 1]`; a history may be
    empty. Ratings without a time come first.
    """

    user_U: NDArray[np.int32]
    """Row numbers, ascending."""
    offset_U1: NDArray[np.int64]
    movie_N: NDArray[np.int32]
    """Row numbers."""
    rating_N: NDArray[np.float32]
    time_N: NDArray[np.int64]
    """Seconds since 1970; UNKNOWN where there is none."""
    split_N: NDArray[np.int8]
    """TRAIN, VALIDATION or TEST; within a history they never fall."""
    asked_U: NDArray[np.int64] | None = None
    """When each user's next movies are asked for, in seconds; UNKNOWN, and None for all of them,
    is now, after all that is known."""

    def __len__(self) -> int:
        return len(self.user_U)

    @property
    def count_U(self) -> NDArray[np.int64]:
        """How many ratings each history has."""
        return np.diff(self.offset_U1)

    @property
    def owner_N(self) -> NDArray[np.int64]:
        """Whose each rating is, by place among the U users."""
        return np.repeat(np.arange(len(self)), self.count_U)

    def slice(self, start: int, stop: int) -> Histories:
        """Users from place `start` to before `stop`, without copying."""
        first, last = self.offset_U1[start], self.offset_U1[min(stop, len(self))]
        part = Histories(
            self.user_U[start:stop],
            self.offset_U1[start : stop + 1] - first,
            *(column[first:last] for column in self.columns),
        )
        return replace(part, asked_U=None if self.asked_U is None else self.asked_U[start:stop])

    def take(self, place_B: NDArray[np.integer]) -> Histories:
        """The users at these places, in this order."""
        count_B = self.count_U[place_B]
        offset_B1 = np.concatenate([[0], np.cumsum(count_B)])
        shift_N = np.repeat(self.offset_U1[place_B] - offset_B1[:-1], count_B)
        row_N = np.arange(offset_B1[-1]) + shift_N
        taken = (column[row_N] for column in self.columns)
        asked_B = None if self.asked_U is None else self.asked_U[place_B]
        return replace(Histories(self.user_U[place_B], offset_B1, *taken), asked_U=asked_B)

    def where(self, keep_N: NDArray[np.bool_]) -> Histories:
        """Of the same users, these ratings alone."""
        kept_N1 = np.concatenate([[0], np.cumsum(keep_N)])
        kept = (column[keep_N] for column in self.columns)
        part = Histories(self.user_U, kept_N1[self.offset_U1], *kept)
        return replace(part, asked_U=self.asked_U)

    def until(self, split: int) -> Histories:
        """The ratings of earlier splits: what may be known when that of `split` is to be named.

        It is asked for when the first of the later ones was given.
        """
        known = self.where(self.split_N < split)
        next_U = self.offset_U1[:-1] + known.count_U
        asked_U = np.append(self.time_N, UNKNOWN)[next_U]
        return replace(known, asked_U=np.where(next_U < self.offset_U1[1:], asked_U, UNKNOWN))

    def of(self, split: int) -> Histories:
        """The ratings of one split."""
        return self.where(self.split_N == split)

    def by_movie(self, place_M: NDArray[np.integer]) -> Histories:
        """With other row numbers for movies, `place_M`; those of -1 are left out."""
        known = self.where(place_M[self.movie_N] >= 0)
        return replace(known, movie_N=place_M[known.movie_N].astype(np.int32))

    @property
    def columns(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Movies, ratings, times, splits."""
        return self.movie_N, self.rating_N, self.time_N, self.split_N


def read_histories(folder: Path) -> Histories:
    """All of a folder that etl wrote. Raises ValueError if it is missing or not readable."""
    try:
        table = pq.read_table(folder, columns=COLUMNS)
        table = table.sort_by("user_idx").combine_chunks()
        lists = [table[name].combine_chunks() for name in COLUMNS[1:]]
        offset_U1 = lists[0].offsets.to_numpy().astype(np.int64)
        movie, rating, time, split = (array.flatten() for array in lists)
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder} cannot be read as histories: {error}") from error
    return Histories(
        table["user_idx"].to_numpy().astype(np.int32),
        offset_U1 - offset_U1[0],
        movie.to_numpy(),
        rating.to_numpy(),
        time.fill_null(UNKNOWN).to_numpy(),
        split.to_numpy(),
    )


def write_histories(histories: Histories, folder: Path, files: int = 1) -> None:
    """Write them as etl does, users dealt to so many files; `folder` appears whole or not at all.

    A history that is empty is left out.
    """
    some = histories.take(np.flatnonzero(histories.count_U))
    lists = {
        "movie_idx": pa.array(some.movie_N, pa.int32()),
        "rating": pa.array(some.rating_N, pa.float32()),
        "rated_at": pa.array(some.time_N, pa.int64(), mask=some.time_N == UNKNOWN),
        "split": pa.array(some.split_N, pa.int8()),
    }
    offsets = pa.array(some.offset_U1.astype(np.int32))
    columns = {name: pa.ListArray.from_arrays(offsets, of) for name, of in lists.items()}
    table = pa.table({"user_idx": some.user_U} | columns)
    with whole_folder(folder) as temporary:
        for number in range(files):
            own = table.take(np.arange(number, len(table), files))
            pq.write_table(own, temporary / f"{number}.parquet")
