"""A list of movies for each of some users, as two arrays that can be mapped into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.integer]
# Without a header, so that a writer need not know beforehand how many numbers come.
VALUES = "values.int32"


@dataclass(frozen=True)
class Lists:
    """The lists of B users, N numbers in all: those of user b stand at offsets b to b + 1.

    They are movie ids, or row numbers of `Factors`, where -1 is a movie that these do not know.
    """

    offset_B1: Int
    value_N: Int

    @classmethod
    def of(cls, list_B: Sequence[Int]) -> Lists:
        """From one array per user."""
        offset_B1 = np.cumsum([0, *map(len, list_B)])
        return cls(offset_B1, np.concatenate([np.empty(0, np.int32), *list_B]).astype(np.int32))

    def __len__(self) -> int:
        return len(self.offset_B1) - 1

    def __getitem__(self, place: int) -> Int:
        """The list of the user at this place."""
        return self.value_N[self.offset_B1[place] : self.offset_B1[place + 1]]

    @property
    def count_B(self) -> Int:
        """How long each list is."""
        return np.diff(self.offset_B1)

    def slice(self, start: int, stop: int) -> Lists:
        """Users from `start` to before `stop`."""
        offset_B1 = self.offset_B1[start : stop + 1]
        return Lists(offset_B1 - offset_B1[0], self.value_N[offset_B1[0] : offset_B1[-1]])

    def take(self, place_B: Int) -> Lists:
        """The users at these places."""
        count_B = self.offset_B1[place_B + 1] - self.offset_B1[place_B]
        offset_B1 = np.concatenate([[0], np.cumsum(count_B)])
        shift_N = np.repeat(self.offset_B1[place_B] - offset_B1[:-1], count_B)
        return Lists(offset_B1, self.value_N[np.arange(offset_B1[-1]) + shift_N])

    def with_more(self, more: Lists) -> Lists:
        """Each user's list, and behind it that of `more`."""
        value_N = np.empty(len(self.value_N) + len(more.value_N), self.value_N.dtype)
        own_N, more_N = (np.arange(len(lists.value_N)) for lists in (self, more))
        value_N[own_N + np.repeat(more.offset_B1[:-1], self.count_B)] = self.value_N
        value_N[more_N + np.repeat(self.offset_B1[1:], more.count_B)] = more.value_N
        return Lists(self.offset_B1 + more.offset_B1, value_N)

    def save(self, folder: Path) -> None:
        """Write the arrays for `load_lists`."""
        folder.mkdir(parents=True)
        np.save(folder / "offset.npy", self.offset_B1)
        self.value_N.astype(np.int32).tofile(folder / VALUES)


def load_lists(folder: Path) -> Lists:
    """Memory-map lists: `offset.npy`, and their numbers one after the other in `values.int32`."""
    file = folder / VALUES
    # What is empty cannot be mapped.
    value_N = np.memmap(file, np.int32, "r") if file.stat().st_size else np.empty(0, np.int32)
    return Lists(np.load(folder / "offset.npy", mmap_mode="r"), value_N)
