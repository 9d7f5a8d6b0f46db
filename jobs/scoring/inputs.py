"""The inputs of scoring, laid out for memory mapping.

The driver writes them once, into a folder that all hosts see; tasks map them, so the processes of a
host share one copy, whatever their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import dataset

from jobs.runs.errors import JobError
from jobs.scoring.arrays import UserMovies, load_user_movies, read_candidates
from jobs.scoring.incremental import unchanged_users
from model.factors import Factors
from model.ranking.catalogue import Catalogue, load_catalogue, prepare_catalogue


@dataclass(frozen=True)
class Inputs:
    """Users in id order and the movies that each has rated; candidate movies and all titles."""

    user_ids_U: NDArray[np.int32]
    offset_U1: NDArray[np.int64]
    movie_ids_N: NDArray[np.int32]
    catalogue: Catalogue
    titles: pa.Array
    """By row number in the factors; empty for a movie that may not be recommended."""
    lists: UserMovies
    """Of the users who have one, the only movies that may be recommended to them."""
    kept_U: NDArray[np.bool_]
    """Users whose rows are taken over from an earlier run."""

    def rated(self, user: int) -> NDArray[np.int32]:
        """The movies that the user in one place has rated."""
        return self.movie_ids_N[self.offset_U1[user] : self.offset_U1[user + 1]]


def write_inputs(
    folder: Path,
    factors: Factors,
    movies: pa.Table,
    rated: Path,
    user_ids: list[int] | None = None,
    candidates: Path | None = None,
    before: tuple[Path, Path | None] | None = None,
) -> Inputs:
    """Lay out the inputs and map them.

    `movies` holds movie_id and title of the movies that may be recommended; `rated` is a folder of
    schemas.RATED in the order of users, of whom `user_ids` are taken if given; `candidates` is one
    of schemas.CANDIDATES. `before` are the latter two of the run whose rows are taken over for
    users for whom both are the same.
    """
    folder.mkdir(parents=True)
    prepare_catalogue(factors, movies["movie_id"].to_numpy()).save(folder / "catalogue")
    place = np.full(len(factors.movie_ids_M), -1)
    idx = factors.movie_idx(movies["movie_id"].to_numpy())
    place[idx[idx >= 0]] = np.flatnonzero(idx >= 0)
    titles = movies["title"].combine_chunks().take(pa.array(place, mask=place < 0)).fill_null("")
    pq.write_table(pa.table({"title": titles}), folder / "titles.parquet")
    write_rated(folder, rated, user_ids)
    lists = read_candidates(candidates)
    lists.save(folder / "lists")
    now = read_rated(folder)
    kept_U = np.zeros(len(now.user_ids_U), bool)
    if before:
        (folder / "before").mkdir()
        write_rated(folder / "before", before[0], None)
        earlier = read_rated(folder / "before")
        kept_U = unchanged_users(now, earlier, lists, read_candidates(before[1]))
    np.save(folder / "kept.npy", kept_U)
    return read_inputs(folder)


def write_rated(folder: Path, rated: Path, user_ids: list[int] | None) -> None:
    """Lists of rated movies as one array and offsets. Raises JobError unless users ascend."""
    chosen = None if user_ids is None else pc.field("user_id").isin(user_ids)
    users, counts = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    lists = dataset.dataset(rated, format="parquet")
    scanner = lists.scanner(["user_id", "movie_ids"], filter=chosen)
    with (folder / "movie_ids.bin").open("wb") as file:
        for batch in scanner.to_batches():
            users.append(batch["user_id"].to_numpy())
            counts.append(pc.list_value_length(batch["movie_ids"]).to_numpy())
            batch["movie_ids"].flatten().to_numpy().astype(np.int32).tofile(file)
    user_ids_U = np.concatenate(users)
    if (np.diff(user_ids_U) <= 0).any():
        raise JobError(f"{rated} is not in the order of users. Run etl again.")
    np.save(folder / "user_ids.npy", user_ids_U)
    np.save(folder / "offset.npy", np.cumsum(np.concatenate(counts)))


def read_rated(folder: Path) -> UserMovies:
    """Memory-map what `write_rated` wrote."""
    file = folder / "movie_ids.bin"
    empty = file.stat().st_size == 0
    return UserMovies(
        user_ids_U=np.load(folder / "user_ids.npy", mmap_mode="r"),
        offset_U1=np.load(folder / "offset.npy", mmap_mode="r"),
        movie_ids_N=np.empty(0, np.int32) if empty else np.memmap(file, np.int32, "r"),
    )


@cache
def read_inputs(folder: Path) -> Inputs:
    """Memory-map what `write_inputs` wrote; once in a process."""
    rated = read_rated(folder)
    return Inputs(
        user_ids_U=rated.user_ids_U,
        offset_U1=rated.offset_U1,
        movie_ids_N=rated.movie_ids_N,
        catalogue=load_catalogue(folder / "catalogue"),
        titles=pq.read_table(folder / "titles.parquet")["title"].combine_chunks(),
        lists=load_user_movies(folder / "lists"),
        kept_U=np.load(folder / "kept.npy", mmap_mode="r"),
    )
