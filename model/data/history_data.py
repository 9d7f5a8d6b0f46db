"""What a rank of a model of order learns from and is measured on: the histories of its users."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import horovod.torch as hvd
import numpy as np
import torch
from torch import Tensor

from model.data.collectives import sum_over_ranks
from model.data.dataset import Counts
from model.data.histories import TRAIN, UNKNOWN, Histories
from model.data.history_reading import read_history_shard
from model.data.indexes import read_ids
from model.data.sets import SetShard
from model.data.side_information import features
from model.data.windows import WindowShard
from model.family import Encoder
from model.settings import TrainingSpec

RECENT_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class HistoryData:
    """This rank's histories, and figures of all ranks' together.

    Models learn from the train split; later ratings are known of a user whose list is made. Where
    nothing is held back, all are of the train split.
    """

    histories: Histories
    window: int | None
    """Most targets that a training window holds; None: of models that know no order, which learn
    from whole histories."""
    rows_R: list[int]
    """Training targets of each rank: ratings of the train split but for a user's first."""
    counts: Counts
    """Of users all ratings, whose rows rest on these; of movies those of the train split."""
    mean: float
    """Mean training rating."""
    popular_M: Tensor
    """Training ratings of the last 30 days, and the share of all to order what is left."""
    user_ids: np.ndarray
    movie_ids: np.ndarray
    rating_min: float
    rating_max: float
    device: torch.device
    seed: int
    movie_table: str | None = None
    """What the release says of movies; None: nothing."""
    reading: str = "into memory"

    @property
    def users(self) -> int:
        return len(self.user_ids)

    @property
    def movies(self) -> int:
        return len(self.movie_ids)

    @cached_property
    def train(self) -> Histories:
        """What is learned from."""
        return self.histories.of(TRAIN)

    @cached_property
    def shard(self) -> WindowShard | SetShard:
        if self.window is None:
            return SetShard(self.train, self.seed, hvd.rank())
        return WindowShard(self.train, self.window, self.seed, hvd.rank())

    @property
    def genre_MG(self) -> Tensor:
        """The genres of each movie, rows of length 1.

        Raises ValueError without a table of movies, or if it cannot be read.
        """
        if self.movie_table is None:
            raise ValueError(
                "The model is to be told movies' genres, and the training has no table of movies. "
                "Set genres to false."
            )
        return torch.from_numpy(features(self.movie_table, "movie", self.movie_ids, ["genres"]))

    @cached_property
    def latest(self) -> int:
        """When the newest of all ranks' ratings was given; UNKNOWN if none has a time."""
        latest = torch.tensor([self.histories.time_N.max(initial=UNKNOWN)])
        return int((hvd.allgather(latest) if hvd.size() > 1 else latest).max())

    def epoch(self, epoch: int, batch_size: int, start: int) -> tuple[list[int], Iterator[Any]]:
        """All ranks' targets in each step of an epoch, and this rank's batches from `start` on."""
        steps = max(1, math.ceil(sum(self.rows_R) / batch_size))
        # Parts are the shard's own, whichever it is.
        shard: Any = self.shard
        parts = shard.epoch(epoch, steps)
        rows_S = sum_over_ranks(torch.tensor([shard.rows_in(part) for part in parts]))
        return rows_S.tolist(), shard.batches(parts[start:])

    def whole_rows(self, encoder: Encoder) -> Tensor:
        """The rows of all ranks' users, U x K, from their whole histories."""
        own_BK = encoder.encode(self.histories)
        user_UK = own_BK.new_zeros(self.users, own_BK.shape[1])
        user_UK[torch.from_numpy(self.histories.user_U).long().to(own_BK.device)] = own_BK
        return sum_over_ranks(user_UK)


def read_history_data(spec: TrainingSpec, device: torch.device) -> HistoryData:
    """Read this rank's histories, and count all ranks'. Raises ValueError, naming a file."""
    if spec.histories is None:
        raise ValueError(f"{spec.model} learns from histories, and the spec names none.")
    rank, ranks = hvd.rank(), hvd.size()
    user_ids, movie_ids = read_ids(spec.user_index, "user"), read_ids(spec.movie_index, "movie")
    histories = read_history_shard(Path(spec.histories), rank, ranks)
    if spec.validation is None:
        histories = replace(histories, split_N=np.full_like(histories.split_N, TRAIN))
    train = histories.of(TRAIN)
    rows = int(np.maximum(train.count_U - 1, 0).sum())
    rows_R = [rows] if ranks == 1 else hvd.allgather(torch.tensor([rows])).tolist()
    if not sum(rows_R):
        raise ValueError(f"{spec.histories} holds no history of two ratings to learn from.")
    counts = count_histories(histories, train, len(user_ids), len(movie_ids))
    return HistoryData(
        histories,
        getattr(spec.settings, "window", None),
        rows_R,
        counts,
        (counts.rating_sum_M.sum() / counts.movie_M.sum()).item(),
        popular(train, counts.movie_M),
        user_ids,
        movie_ids,
        spec.rating_min,
        spec.rating_max,
        device,
        spec.seed,
        spec.movies,
    )


def count_histories(histories: Histories, train: Histories, users: int, movies: int) -> Counts:
    """Ratings of each user, and those of each movie in the train split, over all ranks."""
    user_U, movie_M = torch.zeros(users, dtype=torch.int64), torch.from_numpy(train.movie_N)
    user_U[torch.from_numpy(histories.user_U).long()] = torch.from_numpy(histories.count_U)
    rating_N = torch.from_numpy(train.rating_N).double()
    count_M = torch.bincount(movie_M, minlength=movies)
    touched_N = torch.cat([user_U, count_M]) > 0
    rating_sum_M = sum_over_ranks(torch.bincount(movie_M, rating_N, movies))
    return Counts(sum_over_ranks(user_U), sum_over_ranks(count_M), rating_sum_M, touched_N)


def popular(train: Histories, count_M: Tensor) -> Tensor:
    """How much a movie is rated of late, for users about whom nothing is known.

    Ratings of the 30 days before the last one, plus a movie's share of all ratings.
    """
    time_N = torch.from_numpy(train.time_N)
    latest = torch.tensor([time_N.max().item() if len(time_N) else -1])
    if hvd.size() > 1:
        latest = hvd.allgather(latest).max()
    recent_N = (time_N >= 0) & (time_N > latest - RECENT_SECONDS)
    movie_R = torch.from_numpy(train.movie_N)[recent_N]
    recent_M = sum_over_ranks(torch.bincount(movie_R, minlength=len(count_M)))
    return (recent_M + count_M / count_M.sum()).float()
