"""Ratings by row number, and reading them whole from Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import torch
from torch import Tensor

from model.data.columns import COLUMNS


@dataclass(frozen=True)
class Ratings:
    """N ratings: row numbers of users and movies, and the ratings themselves."""

    user_N: Tensor
    movie_N: Tensor
    rating_N: Tensor
    time_N: Tensor | None = None
    """Seconds since 1970, -1 where unknown; None where nobody asks."""

    def __len__(self) -> int:
        return len(self.rating_N)

    def take(self, rows: Tensor) -> Ratings:
        """The ratings at these positions."""
        # index_select is several times faster than indexing.
        return Ratings(*(column.index_select(0, rows) for column in self.columns))

    def split(self, sizes: list[int]) -> Iterator[Ratings]:
        """Consecutive parts of these sizes, without copying."""
        parts = zip(*(column.split(sizes) for column in self.columns), strict=True)
        return (Ratings(*part) for part in parts)

    def to(self, device: torch.device) -> Ratings:
        """The same ratings on a device."""
        return Ratings(*(column.to(device, non_blocking=True) for column in self.columns))

    def pinned(self) -> Ratings:
        """The same ratings in memory that a GPU copies from while it computes."""
        return Ratings(*(column.pin_memory() for column in self.columns))

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """Users, movies, ratings and, where somebody asks, times."""
        three = self.user_N, self.movie_N, self.rating_N
        return three if self.time_N is None else (*three, self.time_N)


def no_ratings(columns: list[str] = COLUMNS) -> Ratings:
    """None, in the types of others."""
    types = (torch.int32, torch.int32, torch.float32, torch.int64)
    return Ratings(*(torch.empty(0, dtype=kind) for kind in types[: len(columns)]))


def read_ratings(folder: Path, columns: list[str] = COLUMNS) -> Ratings:
    """All ratings of a Parquet folder. Raises ValueError if it is missing or not readable."""
    try:
        table = pq.read_table(folder, columns=columns)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} cannot be read as ratings: {error}") from error
    return Ratings(*(torch.from_numpy(table[c].to_numpy().copy()) for c in columns))
