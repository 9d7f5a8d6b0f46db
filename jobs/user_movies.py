"""Lists of movies per user, memory-mapped; and which users' lists are as they were."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.factors import positions

# Users whose lists are compared together.
BLOCK = 20_000


@dataclass(frozen=True)
class UserMovies:
    """U users in the order of ids; the movies of user u, ascending, lie at offsets u to u + 1."""

    user_ids_U: NDArray[np.int32]
    offset_U1: NDArray[np.int64]
    movie_ids_N: NDArray[np.int32]

    def of(self, user: int) -> NDArray[np.int32]:
        """The movies of the user in one place."""
        return self.movie_ids_N[self.offset_U1[user] : self.offset_U1[user + 1]]

    def save(self, folder: Path) -> None:
        """Write the arrays for `load_user_movies`."""
        folder.mkdir(parents=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))


@cache
def load_user_movies(folder: Path) -> UserMovies:
    """Memory-map what was saved; once in a process."""
    names = [field.name for field in fields(UserMovies)]
    return UserMovies(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names})


def read_candidates(folder: Path | None) -> UserMovies:
    """The lists of candidates that a run has kept, sorted by user and movie; without any, none."""
    if folder is None:
        return UserMovies(np.empty(0, np.int32), np.zeros(1, np.int64), np.empty(0, np.int32))
    rows = pq.read_table(folder)
    user_ids, first = np.unique(rows["user_id"].to_numpy(), return_index=True)
    offset = np.append(first, len(rows)).astype(np.int64)
    return UserMovies(user_ids.astype(np.int32), offset, rows["movie_id"].to_numpy())


def unchanged(now: UserMovies, before: UserMovies) -> NDArray[np.bool_]:
    """Which of the users of `now` had the same movies before."""
    place_U = positions(before.user_ids_U, now.user_ids_U)
    count_U = np.diff(now.offset_U1)
    # The last is for users who were not there: no list is that long.
    count_before = np.append(np.diff(before.offset_U1), -1)
    same_U = count_before[place_U] == count_U
    for start in range(0, len(same_U), BLOCK):
        users = start + np.flatnonzero(same_U[start : start + BLOCK])
        owner_N = np.repeat(users, count_U[users])
        first_N = np.repeat(np.cumsum(count_U[users]) - count_U[users], count_U[users])
        place_N = np.arange(len(owner_N)) - first_N
        ours = now.movie_ids_N[now.offset_U1[owner_N] + place_N]
        theirs = before.movie_ids_N[before.offset_U1[place_U[owner_N]] + place_N]
        same_U[owner_N[ours != theirs]] = False
    return same_U


def unchanged_users(
    rated: UserMovies, rated_before: UserMovies, lists: UserMovies, lists_before: UserMovies
) -> NDArray[np.bool_]:
    """Which of the users of `rated` had the same rated movies, and the same list or none."""
    same_list = lists.user_ids_U[unchanged(lists, lists_before)]
    listed = np.isin(rated.user_ids_U, lists.user_ids_U)
    listed_before = np.isin(rated.user_ids_U, lists_before.user_ids_U)
    none = ~listed & ~listed_before
    return unchanged(rated, rated_before) & (none | np.isin(rated.user_ids_U, same_list))
