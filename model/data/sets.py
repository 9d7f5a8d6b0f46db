"""Sets: what a model that knows no order learns from in a step, whole histories of some users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.histories import Histories

Int = NDArray[np.integer]


@dataclass(frozen=True)
class Sets:
    """The P movies of B users, one user's after another's; none of them is empty."""

    movie_P: Tensor
    first_B: Tensor
    """Where each user's begin."""
    count_B: Tensor
    """How many they are."""

    def __len__(self) -> int:
        """Rows: as of windows, a history's movies but one."""
        return len(self.movie_P) - len(self.count_B)

    def to(self, device: torch.device) -> Sets:
        """The same sets on a device."""
        columns = (self.movie_P, self.first_B, self.count_B)
        return Sets(*(column.to(device, non_blocking=True) for column in columns))


def sets_of(histories: Histories) -> Sets:
    """Those of users, none of whose histories is empty."""
    parts = (histories.movie_N.astype(np.int64), histories.offset_U1[:-1], histories.count_U)
    return Sets(*map(torch.from_numpy, parts))


class SetShard:
    """The training histories of one rank that hold two movies or more."""

    def __init__(self, histories: Histories, seed: int, rank: int) -> None:
        self.histories, self.seed, self.rank = histories, seed, rank
        self.rows_U = np.maximum(histories.count_U - 1, 0)
        self.rows = int(self.rows_U.sum())

    def epoch(self, epoch: int, steps: int) -> list[Int]:
        """The users of each step, by place; steps hold about equally many movies, or none."""
        random = np.random.default_rng([self.seed, epoch, self.rank])
        order_H = random.permutation(np.flatnonzero(self.rows_U))
        middle_H = np.cumsum(self.rows_U[order_H]) - self.rows_U[order_H] / 2
        step_H = (middle_H * steps / max(self.rows, 1)).astype(int)
        return np.split(order_H, np.searchsorted(step_H, np.arange(1, steps)))

    def rows_in(self, part: Int) -> int:
        """How many rows a step has."""
        return int(self.rows_U[part].sum())

    def batches(self, parts: list[Int]) -> Iterator[Sets]:
        """The sets of these steps."""
        return (sets_of(self.histories.take(part)) for part in parts)
