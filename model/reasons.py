"""Reasons: the movie of a user's history that speaks most for a recommendation.

A score is a sum over the history and of what no history changes, wherever the user's row is a sum:
then a movie's part in the score is exact, and all parts and the rest add up to it. Of a model of
ratings it is that of the ridge regression by which users are folded in (model/fold_in.py), whose
parts are the users' ratings, less what anybody gives; rows of the training were learned otherwise.
Of an encoder that is no sum (model/family.py, `Explaining`), a movie's part is how much the score
falls once the movie is left out of the history.

A reason's share is its part of all parts above zero: of what speaks for the movie, not against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.co_rated import blocks
from model.data.histories import Histories
from model.factors import load_factors
from model.family import Encoder, Explaining, load
from model.fold_in import Equations, can_fold_in, with_bias

Int = NDArray[np.integer]
Float = NDArray[np.float32]
# Of a history, so many of the newest movies are left out, one at a time: as many as networks look
# at (`window` in conf). `vae` reads all, which would take several times as long.
MOST_LEFT_OUT = 50


class Reasons(NamedTuple):
    """Of R recommendations."""

    movie_R: Int
    """Row numbers of movies of the history; -1 where none speaks for the recommendation."""
    share_R: Float
    """Above 0, at most 1; NaN where there is none."""


@dataclass(frozen=True)
class Explainer:
    """A model's scores as sums over histories, whose movies are the model's row numbers."""

    parts: Callable[[Histories], Float]
    """What each of N ratings adds to its user's row, N x W."""
    movie_MW: Float
    """What users' rows are multiplied with."""
    movie_ids_M: Int

    @classmethod
    def of(cls, folder: Path, device: Any) -> Explainer | None:
        """That of the model in a folder; None of one of ratings that can fold nobody in."""
        factors = load_factors(folder)
        member = load(factors.manifest.get("model", "matrix_factorisation"))
        if member.objective == "order":
            encoder = member.encoder(folder, device)
            return cls(
                lambda known: parts_of(encoder, known).cpu().numpy(),
                factors.movie_MK,
                factors.movie_ids_M,
            )
        if factors.noise is None or not can_fold_in(factors):
            return None
        equations = Equations.of(factors, factors.noise)
        return cls(equations.parts, with_bias(factors.movie_MK), factors.movie_ids_M)

    def reasons(self, known: Histories, row_R: Int, movie_R: Int) -> Reasons:
        """Of movies recommended to users, who ascend and are given by place among the histories."""
        found = Reasons(np.full(len(row_R), -1), np.full(len(row_R), np.nan, np.float32))
        first_U1 = np.searchsorted(row_R, np.arange(len(known) + 1))
        for start, stop in blocks(known.count_U * self.movie_MW.shape[1]):
            block = known.slice(start, stop)
            part_NW = self.parts(block)
            for user, (first, last) in enumerate(pairwise(block.offset_U1), start):
                own = slice(first_U1[user], first_U1[user + 1])
                if first < last and own.start < own.stop:
                    score_NR = part_NW[first:last] @ self.movie_MW[movie_R[own]].T
                    best_R, found.share_R[own] = strongest(score_NR)
                    movie_N = block.movie_N[first:last]
                    found.movie_R[own] = np.where(best_R < 0, -1, movie_N[best_R])
        return found


def strongest(part_NR: Float) -> tuple[Int, Float]:
    """Which of N parts in each of R scores is the largest, and its share of those above 0.

    -1 and NaN where none is.
    """
    best_R = part_NR.argmax(0)
    part_R = part_NR[best_R, np.arange(len(best_R))]
    total_R = part_NR.clip(min=0).sum(0)
    some_R = part_R > 0
    share_R = np.full(len(best_R), np.nan, np.float32)
    np.divide(part_R, total_R, out=share_R, where=some_R)
    return np.where(some_R, best_R, -1), share_R.clip(max=1)


def parts_of(encoder: Encoder, histories: Histories) -> Tensor:
    """What each of N ratings adds to its user's row, N x K: exactly, or by leaving it out."""
    if isinstance(encoder, Explaining):
        return encoder.parts(histories)
    return left_out(encoder, histories)


def left_out(encoder: Encoder, histories: Histories, most: int = MOST_LEFT_OUT) -> Tensor:
    """Rows of users less those of the history without each of its N ratings, N x K.

    Zero of ratings before the newest `most`.
    """
    row_UK = encoder.encode(histories)
    part_NK = row_UK.new_zeros(len(histories.movie_N), row_UK.shape[1])
    owner_N, offset_U1 = histories.owner_N, histories.offset_U1
    place_P = np.flatnonzero(offset_U1[1:][owner_N] - np.arange(len(owner_N)) <= most)
    for start, stop in blocks(histories.count_U[owner_N[place_P]]):
        place_B = place_P[start:stop]
        places, owners = (
            torch.from_numpy(at_B).to(row_UK.device) for at_B in (place_B, owner_N[place_B])
        )
        part_NK[places] = row_UK[owners] - encoder.encode(without(histories, place_B))
    return part_NK


def without(histories: Histories, place_B: Int) -> Histories:
    """A history for each of B ratings, given by place among all: its user's, but for it."""
    owner_B = histories.owner_N[place_B]
    others = histories.take(owner_B)
    keep_N = np.ones(len(others.movie_N), bool)
    keep_N[others.offset_U1[:-1] + place_B - histories.offset_U1[owner_B]] = False
    return others.where(keep_N)
