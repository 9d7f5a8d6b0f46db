"""What lists are measured by: whom one asks, what is known then, and what they rated next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.data.histories import UNKNOWN, Histories
from model.factors import Factors
from model.ranking.lists import Lists
from model.ranking.ranker import Ranked, Ranker

Int = NDArray[np.integer]


@dataclass(frozen=True)
class HeldOut:
    """Of B users, what was known before, and the N movies rated in a split."""

    known: Histories
    """Of earlier splits; never empty. It knows when the user is asked for."""
    targets: Lists
    """By row number; -1 is one that the model does not know."""
    gap_N: NDArray[np.int64]
    """Seconds from the rating before to each target's; UNKNOWN where either has no time."""

    def __len__(self) -> int:
        return len(self.known)

    @property
    def excluded(self) -> Lists:
        """What must not be named: the movies rated before."""
        return Lists(self.known.offset_U1, self.known.movie_N)


def held_out(histories: Histories, split: int) -> HeldOut:
    """The users with a rating of the split and one of an earlier split; later ones are not seen."""
    known, wanted = histories.until(split), histories.of(split)
    place_B = np.flatnonzero((known.count_U > 0) & (wanted.count_U > 0))
    gap_N = gaps(histories)[histories.split_N == split]
    kept_N = np.isin(wanted.owner_N, place_B)
    wanted = wanted.take(place_B)
    return HeldOut(known.take(place_B), Lists(wanted.offset_U1, wanted.movie_N), gap_N[kept_N])


def gaps(histories: Histories) -> NDArray[np.int64]:
    """Seconds from the rating before in the same history; UNKNOWN where either has no time."""
    time_N, gap_N = histories.time_N, np.full(len(histories.time_N), UNKNOWN, np.int64)
    owner_N = histories.owner_N
    both_N = (owner_N[1:] == owner_N[:-1]) & (time_N[:-1] > UNKNOWN) & (time_N[1:] > UNKNOWN)
    gap_N[1:][both_N] = (time_N[1:] - time_N[:-1])[both_N]
    return gap_N


def by_movie(held: HeldOut, place_M: Int) -> HeldOut:
    """With the row numbers of another model, `place_M`, where -1 is a movie that it does not know.

    Such a movie is left out of what is known, and stays a target, which nothing finds.
    """
    movie_N = held.targets.value_N
    targets = Lists(held.targets.offset_B1, place_M[movie_N].astype(np.int32))
    return replace(held, known=held.known.by_movie(place_M), targets=targets)


def rank(factors: Factors, user_BK: NDArray[np.float32], held: HeldOut, k: int) -> Ranked:
    """The k best movies of the users, whose rows are these, without those that they have rated.

    Who has nothing that the model knows of is given what is popular.
    """
    users = len(held)
    asked = replace(
        factors,
        user_UK=np.asarray(user_BK, dtype=np.float32),
        user_bias_U=np.zeros(users, np.float32),
        user_trained_U=held.known.count_U > 0,
        user_ids_U=np.arange(users),
    )
    return Ranker(asked).top_k(np.arange(users), held.excluded, k)
