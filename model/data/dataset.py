"""All that a rank learns from and is measured on, and what is known of it before the first step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import horovod.torch as hvd
import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.columns import COLUMNS, DATED
from model.data.devices import place
from model.data.indexes import read_ids
from model.data.ratings import Ratings, no_ratings
from model.data.reading import (
    MemoryShard,
    Shard,
    even_parts,
    parquet_files,
    read_shard,
    unreadable,
)
from model.data.side_information import features
from model.data.strata import Strata, StrataShard, strata_of, why_no_strata
from model.data.streaming import StreamShard
from model.settings import TrainingSpec

POPULAR_DAMPING = 10.0


@dataclass(frozen=True)
class Dataset:
    """This rank's shards, and figures of all ranks' together."""

    train: Shard
    validation: Shard
    """Without ratings where nothing is held back."""
    rows_R: list[int]
    """Training ratings of each rank."""
    counts: Counts
    mean: float
    """Mean training rating."""
    user_ids: np.ndarray
    movie_ids: np.ndarray
    rating_min: float
    rating_max: float
    device: torch.device
    reading: str
    """How the training ratings are read, for the log."""
    tables: dict[str, str | None]
    """Where what the release says of a `user` and of a `movie` lies; None: nowhere."""
    strata: Strata | None
    """What ranks take turns in, where no two of them touch one row at a time."""

    @property
    def users(self) -> int:
        return len(self.user_ids)

    @property
    def movies(self) -> int:
        return len(self.movie_ids)

    @property
    def popular_M(self) -> Tensor:
        """The mean, moved towards a movie's own mean the more ratings it has."""
        surplus_M = self.counts.rating_sum_M - self.mean * self.counts.movie_M
        return (self.mean + surplus_M / (POPULAR_DAMPING + self.counts.movie_M)).float()

    def features(self, entity: str, columns: list[str]) -> Tensor:
        """What the release says in these columns of each user or movie, rows by features.

        Raises ValueError, naming a table that cannot be read.
        """
        ids = self.user_ids if entity == "user" else self.movie_ids
        table = self.tables[entity]
        if table is None or not columns:
            return torch.zeros(len(ids), 0, device=self.device)
        return torch.from_numpy(features(table, entity, ids, columns)).to(self.device)

    def epoch(self, epoch: int, batch_size: int, start: int) -> tuple[list[int], Iterator[Ratings]]:
        """Ratings of all ranks in each step of an epoch, and this rank's batches from `start` on.

        Every rank cuts its shard into the same number of near-equal steps, whatever its size, so
        that no rank waits in a collective that another never enters.
        """
        rank = hvd.rank()
        if self.strata:
            parts = self.strata.sizes(epoch, batch_size)
            step_rows = [sum(rows) for sizes_R in parts for rows in zip(*sizes_R, strict=True)]
            own = [size for sizes_R in parts for size in sizes_R[rank]]
            return step_rows, self.train.batches(epoch, own, start)
        steps = math.ceil(sum(self.rows_R) / batch_size)
        parts_RS = [even_parts(rows, steps) for rows in self.rows_R]
        step_rows = [sum(rows) for rows in zip(*parts_RS, strict=True)]
        return step_rows, self.train.batches(epoch, parts_RS[rank], start)

    def validation_errors(self, score: Callable[[Ratings], Tensor]) -> dict[str, float]:
        """Errors over all ranks' validation ratings of their scores, unclipped."""
        error, clipped = self.errors(score, self.validation.blocks())
        return {
            "validation_loss": error,
            "validation_rmse": math.sqrt(error),
            "validation_rmse_clipped": math.sqrt(clipped),
        }

    @torch.no_grad()
    def errors(
        self, score: Callable[[Ratings], Tensor], blocks: Iterator[Ratings]
    ) -> tuple[float, float]:
        """Mean squared error over all ranks' blocks: of scores as they are, and clipped."""
        sums = torch.zeros(3, dtype=torch.float64)
        for block in blocks:
            ratings = block.to(self.device)
            score_B = score(ratings)
            sums[0] += (score_B - ratings.rating_N).square().sum().item()
            clipped_B = score_B.clamp(self.rating_min, self.rating_max)
            sums[1] += (clipped_B - ratings.rating_N).square().sum().item()
            sums[2] += len(ratings)
        error, clipped_error, rows_seen = sum_over_ranks(sums).tolist()
        return error / rows_seen, clipped_error / rows_seen


def of_pairs(score: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Ratings], Tensor]:
    """The score of ratings from that of pairs of row numbers, whatever their times."""
    return lambda ratings: score(ratings.user_N, ratings.movie_N)


def read_rating_shards(spec: TrainingSpec, device: torch.device) -> Dataset:
    """Read this rank's shards, and count all ranks' ratings. Raises ValueError, naming a file."""
    rank, ranks = hvd.rank(), hvd.size()
    user_ids, movie_ids = read_ids(spec.user_index, "user"), read_ids(spec.movie_index, "movie")
    shards: list[Shard] = []
    streamed = []
    columns = DATED if spec.reads_times else COLUMNS
    for folder in (Path(spec.train), spec.validation and Path(spec.validation)):
        if not folder:
            shards.append(MemoryShard(no_ratings(columns), [spec.seed, rank]))
            continue
        rows = count_rows(folder)
        streamed.append(
            spec.reading == "stream" or (spec.reading == "auto" and rows > spec.memory_rows * ranks)
        )
        if streamed[-1]:
            queue_rows = spec.memory_rows
            shards.append(StreamShard(folder, rank, ranks, spec.seed, queue_rows, columns))
        else:
            ratings = read_shard(folder, rank, ranks, columns)
            shards.append(MemoryShard(ratings, [spec.seed, rank]))
    train, validation = shards
    rows_R = [train.rows] if ranks == 1 else hvd.allgather(torch.tensor([train.rows])).tolist()
    counts = count_ratings(train.blocks(), len(user_ids), len(movie_ids))
    mean = (counts.rating_sum_M.sum() / sum(rows_R)).item()
    strata = None
    # Models whose ranks add up gradients in every step have no such setting.
    exchange = getattr(spec.settings, "exchange", "step")
    if ranks > 1 and exchange != "step":
        touched_U = counts.touched_N[: len(user_ids)]
        if (why := why_no_strata(train, touched_U)) is None:
            assert isinstance(train, MemoryShard)
            strata = strata_of(train, counts.movie_M)
            train = StrataShard(train, strata)
        elif exchange == "strata":
            raise ValueError(
                f"train.{spec.model}.exchange is strata, but {why}. Set it to auto or step."
            )
    for shard in (train, validation):
        if isinstance(shard, MemoryShard):
            shard.ratings = place(shard.ratings, device)
    return Dataset(
        train,
        validation,
        rows_R,
        counts,
        mean,
        user_ids,
        movie_ids,
        spec.rating_min,
        spec.rating_max,
        device,
        "in a stream" if streamed[0] else "into memory",
        {"user": spec.users, "movie": spec.movies},
        strata,
    )


def count_rows(folder: Path) -> int:
    """Rows of all files, by their footers. Raises ValueError, naming a damaged file."""
    files = parquet_files(folder)
    try:
        return sum(pq.read_metadata(file).num_rows for file in files)
    except Exception as error:
        raise ValueError(unreadable(files, error)) from error


@dataclass(frozen=True)
class Counts:
    """Training ratings per user and per movie, and their sum per movie, over all ranks."""

    user_U: Tensor
    movie_M: Tensor
    rating_sum_M: Tensor
    touched_N: Tensor
    """Which rows of the table, users first, this rank's own ratings touch."""


def count_ratings(blocks: Iterable[Ratings], users: int, movies: int) -> Counts:
    """Count this rank's ratings, and add up all ranks' counts."""
    user_U, movie_M = torch.zeros(users, dtype=torch.int64), torch.zeros(movies, dtype=torch.int64)
    rating_sum_M = torch.zeros(movies, dtype=torch.float64)
    for block in blocks:
        user_U += torch.bincount(block.user_N, minlength=users)
        movie_M += torch.bincount(block.movie_N, minlength=movies)
        rating_sum_M += torch.bincount(block.movie_N, block.rating_N.double(), minlength=movies)
    touched_N = torch.cat([user_U, movie_M]) > 0
    user_U, movie_M = sum_over_ranks(user_U), sum_over_ranks(movie_M)
    return Counts(user_U, movie_M, sum_over_ranks(rating_sum_M), touched_N)
