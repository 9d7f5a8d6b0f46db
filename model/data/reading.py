"""One rank's shard of a Parquet folder, read through petastorm into memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
import torch

from model.data.columns import COLUMNS, DATED
from model.data.ratings import Ratings

# petastorm 0.12 reads through names that pyarrow 14 calls deprecated, and says so for every file.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm(\.|$)")
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"petastorm(\.|$)")

# Rows put into an epoch's order at a time: enough to be quick, few enough to stay in the cache.
BLOCK = 1 << 18


class Shard(Protocol):
    """The ratings that one rank learns from."""

    rows: int

    def blocks(self) -> Iterator[Ratings]:
        """All ratings once, in any order."""

    def batches(self, epoch: int, sizes: list[int], start: int) -> Iterator[Ratings]:
        """An epoch's batches of these sizes from number `start` on, in an order of its own."""


class MemoryShard:
    """A shard that lies in memory, or on the device."""

    def __init__(self, ratings: Ratings, seed: list[int]) -> None:
        self.ratings, self.seed, self.rows = ratings, seed, len(ratings)

    def blocks(self) -> Iterator[Ratings]:
        """All ratings, in blocks that keep scores of them small."""
        sizes = even_parts(self.rows, -(-self.rows // BLOCK) or 1)
        return self.ratings.split(sizes)

    def batches(self, epoch: int, sizes: list[int], start: int) -> Iterator[Ratings]:
        """Shuffled anew by seed and epoch."""
        generator = torch.Generator().manual_seed(seed_of(*self.seed, epoch))
        order_N = self.order(epoch, generator)
        home = self.ratings.rating_N.device
        per_block = max(1, BLOCK // max(1, max(sizes, default=1)))
        position = sum(sizes[:start])
        for first in range(start, len(sizes), per_block):
            part = sizes[first : first + per_block]
            row_N = order_N[position : position + sum(part)].to(home)
            position += len(row_N)
            yield from self.ratings.take(row_N).split(part)

    def order(self, epoch: int, generator: torch.Generator) -> torch.Tensor:
        """All rows in a random order."""
        return torch.randperm(self.rows, generator=generator)


def even_parts(rows: int, parts: int) -> list[int]:
    """Sizes of near-equal parts, larger ones first, as torch.tensor_split cuts them."""
    return [rows // parts + (part < rows % parts) for part in range(parts)]


def seed_of(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def open_reader(
    folder: Path, rank: int, ranks: int, columns: list[str] = COLUMNS, **options: Any
) -> Any:
    """A petastorm reader of this rank's row groups: every `ranks`-th."""
    # It brings pandas along, and evaluate and score, which import models too, read without it.
    from petastorm import make_batch_reader

    return make_batch_reader(
        # Not as_uri(): petastorm takes a path as it is, and would look for %20 in a name.
        f"file://{folder.absolute()}",
        schema_fields=columns,
        num_epochs=1,
        cur_shard=rank if ranks > 1 else None,
        shard_count=ranks if ranks > 1 else None,
        **options,
    )


def read_shard(folder: Path, rank: int, ranks: int, columns: list[str] = COLUMNS) -> Ratings:
    """This rank's row groups, whole.

    Rows come in an order that depends on the reader's threads; they are sorted by content, so that
    a seed alone decides the training order. Raises ValueError, naming the file, if one is damaged.
    """
    files = parquet_files(folder)
    try:
        options = {"shuffle_row_groups": False, "workers_count": 2}
        with open_reader(folder, rank, ranks, columns, **options) as reader:
            batches = [tuple(getattr(batch, c) for c in columns) for batch in reader]
    except Exception as error:
        raise ValueError(unreadable(files, error, columns)) from error
    whole = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    order = np.lexsort((whole[1], whole[0]))
    return Ratings(*(torch.from_numpy(column[order]) for column in whole))


def parquet_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def unreadable(files: list[Path], error: Exception, columns: list[str] = COLUMNS) -> str:
    """A sentence about a failed reading that names the file; petastorm's own errors do not."""
    for file in files:
        if not file.is_file():
            return f"{file} has gone while it was being read. Run etl again."
        try:
            for _ in pq.ParquetFile(file).iter_batches(columns=columns):
                pass
        except Exception as damage:
            found = " ".join(str(damage).split())
            kind = "ratings" if columns in (COLUMNS, DATED) else "histories"
            return f"{file} cannot be read as {kind} ({found}). Run etl again."
    return f"{files[0].parent if files else 'The training data'} cannot be read: {error}"
