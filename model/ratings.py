"""Ratings by row number, read from Parquet: whole, or one rank's shard through petastorm."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

# petastorm 0.12 reads through names that pyarrow 14 calls deprecated, and says so for every file.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm(\.|$)")
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"petastorm(\.|$)")

from petastorm import make_batch_reader  # noqa: E402

COLUMNS = ["user_idx", "movie_idx", "rating"]


@dataclass(frozen=True)
class Ratings:
    """N ratings: row numbers of users and movies, and the ratings themselves."""

    user_N: Tensor
    movie_N: Tensor
    rating_N: Tensor

    def __len__(self) -> int:
        return len(self.rating_N)

    def take(self, rows: Tensor) -> Ratings:
        """The ratings at these positions."""
        return Ratings(self.user_N[rows], self.movie_N[rows], self.rating_N[rows])

    def to(self, device: torch.device) -> Ratings:
        """The same ratings on a device."""
        return Ratings(self.user_N.to(device), self.movie_N.to(device), self.rating_N.to(device))


def read_ratings(folder: Path) -> Ratings:
    """All ratings of a Parquet folder. Raises ValueError if it is missing or not readable."""
    try:
        table = pq.read_table(folder, columns=COLUMNS)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} cannot be read as ratings: {error}") from error
    return Ratings(*(torch.from_numpy(table[c].to_numpy().copy()) for c in COLUMNS))


def read_shard(folder: Path, rank: int, ranks: int) -> Ratings:
    """This rank's row groups, every `ranks`-th, through petastorm.

    Rows come in an order that depends on the reader's threads; they are sorted by content, so that
    a seed alone decides the training order.
    """
    with make_batch_reader(
        # Not as_uri(): petastorm takes a path as it is, and would look for %20 in a name.
        f"file://{folder.absolute()}",
        schema_fields=COLUMNS,
        num_epochs=1,
        cur_shard=rank if ranks > 1 else None,
        shard_count=ranks if ranks > 1 else None,
        shuffle_row_groups=False,
        workers_count=2,
    ) as reader:
        batches = [tuple(getattr(batch, c) for c in COLUMNS) for batch in reader]
    columns = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    return Ratings(*(torch.from_numpy(column[order]) for column in columns))
