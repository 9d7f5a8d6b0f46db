"""Which movies the same users rated: what regressions on whole histories are solved from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from model.data.histories import Histories

Int = NDArray[np.integer]
# Numbers of a sparse matrix that are held at a time.
NUMBERS_PER_BLOCK = 1 << 23


def taking_part(count_M: Tensor, most: int) -> Int:
    """Each movie's place among the `most` rated ones, ascending; -1 for the others."""
    most_R = count_M.argsort(descending=True, stable=True)[:most]
    chosen_R = np.sort(most_R[count_M[most_R] > 0].numpy())
    part_M = np.full(len(count_M), -1, np.int32)
    part_M[chosen_R] = np.arange(len(chosen_R))
    return part_M


def rated_together(train: Histories, part_M: Int, movies: int) -> Tensor:
    """X'X of this rank's users, R x R: by how many each two movies were rated.

    A row of X holds 1 for each movie of a user's history, all of which take part.
    """
    both_RR, part_N = torch.zeros(movies, movies), part_M[train.movie_N]
    for start, stop in blocks(train.count_U):
        x_BR = rows_of(train.offset_U1[start:stop], train.offset_U1[start + 1 : stop + 1], part_N)
        x = csr_array(x_BR, shape=(stop - start, movies))
        both_RR += torch.from_numpy((x.T @ x).toarray())
    return both_RR


def rows_of(first_B: Int, last_B: Int, part_N: Int) -> tuple[NDArray[np.float32], Int, Int]:
    """Ones, columns and offsets of B rows, each of the ratings from a first to before a last."""
    offset_B1 = np.concatenate([[0], np.cumsum(last_B - first_B)])
    place_N = np.arange(offset_B1[-1]) + np.repeat(first_B - offset_B1[:-1], last_B - first_B)
    return np.ones(len(place_N), np.float32), part_N[place_N], offset_B1


def blocks(count_B: Int) -> Iterator[tuple[int, int]]:
    """Parts of the rows that hold about NUMBERS_PER_BLOCK numbers, a row at least."""
    end_B, start = np.cumsum(count_B), 0
    while start < len(count_B):
        before = end_B[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(end_B, before + NUMBERS_PER_BLOCK, "right")))
        yield start, stop
        start = stop
