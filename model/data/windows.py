"""Windows of histories: what a model of sequences learns from in a step.

Every movie of a history but the first is a target of those before it. In each epoch a history is
cut into windows anew, the first of them of a random length, so that a target is seen with shorter
and longer pasts. Windows of about one length make a step, and little of it is padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.histories import UNKNOWN, Histories

Int = NDArray[np.integer]
NO_MOVIE = 0
"""What stands where a window has ended; nothing that is learned or named depends on it."""


@dataclass(frozen=True)
class Windows:
    """B windows of at most L movies, each from its first column on, and what came next."""

    movie_BL: Tensor
    rating_BL: Tensor
    """What each was rated."""
    target_BL: Tensor
    """The movie after each; NO_MOVIE behind a window's end."""
    gap_BL: Tensor
    """Seconds from a movie to its target; UNKNOWN where one has no time."""
    real_BL: Tensor
    """Where a window has not ended yet."""

    def __len__(self) -> int:
        return int(self.real_BL.sum())

    def to(self, device: torch.device) -> Windows:
        """The same windows on a device."""
        columns = (self.movie_BL, self.rating_BL, self.target_BL, self.gap_BL, self.real_BL)
        return Windows(*(column.to(device, non_blocking=True) for column in columns))


def gaps(histories: Histories) -> Int:
    """Seconds from the rating before to each of N; UNKNOWN without both times, and of the first."""
    time_N = histories.time_N
    gap_N = np.full(len(time_N), UNKNOWN, np.int64)
    gap_N[1:] = np.where((time_N[1:] >= 0) & (time_N[:-1] >= 0), np.diff(time_N), UNKNOWN)
    gap_N[histories.offset_U1[:-1][histories.count_U > 0]] = UNKNOWN
    return gap_N


def cut(targets_U: Int, window: int, random: np.random.Generator) -> tuple[Int, Int, Int]:
    """Cut histories of so many targets: whose each window is, its first target, its length."""
    owner_H = np.flatnonzero(targets_U > 0)
    targets_H = targets_U[owner_H]
    first_H = np.minimum(random.integers(1, window + 1, len(owner_H)), targets_H)
    windows_H = 1 + -(-(targets_H - first_H) // window)
    owner_W = np.repeat(np.arange(len(owner_H)), windows_H)
    nth_W = np.arange(len(owner_W)) - np.repeat(np.cumsum(windows_H) - windows_H, windows_H)
    start_W = np.where(nth_W == 0, 0, first_H[owner_W] + (nth_W - 1) * window)
    end_W = np.where(nth_W == 0, first_H[owner_W], start_W + window)
    length_W = np.minimum(end_W, targets_H[owner_W]) - start_W
    return owner_H[owner_W], start_W, length_W


class WindowShard:
    """The windows of one rank's training histories."""

    def __init__(self, histories: Histories, window: int, seed: int, rank: int) -> None:
        self.histories, self.window, self.seed, self.rank = histories, window, seed, rank
        self.gap_N = gaps(histories)
        self.targets_U = np.maximum(histories.count_U - 1, 0)
        self.rows = int(self.targets_U.sum())

    def epoch(self, epoch: int, steps: int) -> list[tuple[Int, Int]]:
        """Where the windows of each step begin among the ratings, and how long they are.

        Steps hold about equally many movies, some none where there are few windows.
        """
        random = np.random.default_rng([self.seed, epoch, self.rank])
        owner_W, start_W, length_W = cut(self.targets_U, self.window, random)
        start_W = start_W + self.histories.offset_U1[owner_W]
        order_W = random.permutation(len(length_W))
        order_W = order_W[np.argsort(length_W[order_W], kind="stable")]
        start_W, length_W = start_W[order_W], length_W[order_W]
        middle_W = np.cumsum(length_W) - length_W / 2
        step_W = (middle_W * steps / max(self.rows, 1)).astype(int)
        ends = np.searchsorted(step_W, np.arange(1, steps))
        parts = list(zip(np.split(start_W, ends), np.split(length_W, ends), strict=True))
        # Of all ranks alike: then their windows in a step are about as long, and none waits.
        order_S = np.random.default_rng([self.seed, epoch]).permutation(steps)
        return [parts[step] for step in order_S]

    def rows_in(self, part: tuple[Int, Int]) -> int:
        """How many targets a step has."""
        return int(part[1].sum())

    def batches(self, parts: list[tuple[Int, Int]]) -> Iterator[Windows]:
        """The windows of these steps."""
        return (self.windows(start_B, length_B) for start_B, length_B in parts)

    def windows(self, start_B: Int, length_B: Int) -> Windows:
        """Those that begin at these ratings."""
        place_L = np.arange(length_B.max(initial=1))
        real_BL = place_L < length_B[:, None]
        place_BL = np.where(real_BL, start_B[:, None] + place_L, 0)
        movie_N, next_BL = self.histories.movie_N, np.where(real_BL, place_BL + 1, 0)
        movie_BL = np.where(real_BL, movie_N[place_BL], NO_MOVIE)
        rating_BL = np.where(real_BL, self.histories.rating_N[place_BL], 0)
        target_BL = np.where(real_BL, movie_N[next_BL], NO_MOVIE)
        gap_BL = np.where(real_BL, self.gap_N[next_BL], UNKNOWN)
        numbers = (movie_BL.astype(np.int64), rating_BL, target_BL.astype(np.int64))
        return Windows(*map(torch.from_numpy, (*numbers, gap_BL, real_BL)))
