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

from jobs.errors import JobError
from model.catalogue import Catalogue, load_catalogue, prepare_catalogue
from model.factors import Factors


@dataclass(frozen=True)
class Inputs:
    """Users in id order and the movies that each has rated; candidate movies and all titles."""

    user_ids_U: NDArray[np.int32]
    offset_U1: NDArray[np.int64]
    movie_ids_N: NDArray[np.int32]
    catalogue: Catalogue
    titles: pa.Array
    """By row number in the factors; null for a movie that the run's data lack."""


def write_inputs(
    folder: Path, factors: Factors, movies: pa.Table, rated: Path, user_ids: list[int] | None
) -> Inputs:
    """Lay out the inputs and map them.

    `movies` holds movie_id and title of the movies that may be recommended; `rated` is a folder of
    schemas.RATED in the order of users, of whom `user_ids` are taken if given.
    """
    folder.mkdir(parents=True)
    prepare_catalogue(factors, movies["movie_id"].to_numpy()).save(folder / "catalogue")
    place = np.full(len(factors.movie_ids_M), -1)
    idx = factors.movie_idx(movies["movie_id"].to_numpy())
    place[idx[idx >= 0]] = np.flatnonzero(idx >= 0)
    titles = movies["title"].combine_chunks().take(pa.array(place, mask=place < 0))
    pq.write_table(pa.table({"title": titles}), folder / "titles.parquet")
    write_rated(folder, rated, user_ids)
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


@cache
def read_inputs(folder: Path) -> Inputs:
    """Memory-map what `write_inputs` wrote; once in a process."""
    file = folder / "movie_ids.bin"
    empty = file.stat().st_size == 0
    return Inputs(
        user_ids_U=np.load(folder / "user_ids.npy", mmap_mode="r"),
        offset_U1=np.load(folder / "offset.npy", mmap_mode="r"),
        movie_ids_N=np.empty(0, np.int32) if empty else np.memmap(file, np.int32, "r"),
        catalogue=load_catalogue(folder / "catalogue"),
        titles=pq.read_table(folder / "titles.parquet")["title"].combine_chunks(),
    )
