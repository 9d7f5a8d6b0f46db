"""One task of `score`: a contiguous range of users, and one Parquet file of their rows.

The file's name says its range, and it appears whole: running a task again replaces it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from jobs.scoring_inputs import read_inputs
from model.factors import Factors, load_factors
from model.ranking import Ranked, Ranker, Rated

# Users whose rows are made, and written as one row group, together: a lookup reads one group.
USERS_PER_GROUP = 2048
# With all pairs, a group's rows take some 100 bytes each while they are made.
MOST_ROWS_PER_GROUP = 1_000_000
# A rated movie costs a user about as much as this many scored pairs.
PAIRS_PER_RATED = 100


@dataclass(frozen=True)
class Scoring:
    """What is to be scored, where its inputs lie, and what is written to every row."""

    factors: str
    """Folder of the model's `Factors`."""
    inputs: str
    """Folder of what `write_inputs` wrote."""
    target: str
    """Folder of the Parquet files."""
    top_k: int | None
    """None: every pair."""
    device: str
    """auto, cpu or cuda."""
    model_version: str
    run_id: str


@cache
def ranker_of(scoring: Scoring, device: str) -> Ranker:
    """One for all tasks of a process."""
    # Spark runs a process per core: more threads would fight one another.
    torch.set_num_threads(1)
    catalogue = read_inputs(Path(scoring.inputs)).catalogue
    return Ranker(load_factors(Path(scoring.factors)), catalogue=catalogue, device=device)


def even_ranges(offset_U1: NDArray[np.int64], movies: int, tasks: int) -> list[tuple[int, int]]:
    """Contiguous ranges of users of about the same cost, whatever the skew in rated movies."""
    users = len(offset_U1) - 1
    cost_U1 = np.arange(users + 1) * max(movies, 1) + offset_U1 * PAIRS_PER_RATED
    wanted = np.linspace(0, cost_U1[-1], min(tasks, max(users, 1)) + 1)[1:-1]
    cuts = [0, *np.searchsorted(cost_U1, wanted).tolist(), users]
    return [(a, b) for a, b in pairwise(cuts) if a < b] or [(0, 0)]


def score_range(scoring: Scoring, users: tuple[int, int], device: str) -> tuple[int, int]:
    """Write the rows of a range of users; returns how many users and rows they are."""
    start, stop = users
    ranker = ranker_of(scoring, device)
    target = Path(scoring.target) / f"part-{start:09d}-{stop:09d}.parquet"
    temporary = Path(scoring.inputs) / f"{target.name}.{os.getpid()}"
    rows = 0
    # Parquet holds plain strings, as Spark would write them.
    with pq.ParquetWriter(temporary, SCHEMA, compression="zstd", store_schema=False) as writer:
        for table in tables(ranker, scoring, start, stop):
            writer.write_table(table, row_group_size=max(1, len(table)))
            rows += len(table)
    os.replace(temporary, target)
    return stop - start, rows


def tables(ranker: Ranker, scoring: Scoring, start: int, stop: int) -> Iterator[pa.Table]:
    """The rows of a range, some users at a time."""
    inputs = read_inputs(Path(scoring.inputs))
    per_user = len(ranker.movie_idx_C) if scoring.top_k is None else scoring.top_k
    step = max(1, min(USERS_PER_GROUP, MOST_ROWS_PER_GROUP // max(1, per_user)))
    for first in range(start, stop, step):
        last = min(first + step, stop)
        user_ids = inputs.user_ids_U[first:last]
        offset = inputs.offset_U1[first : last + 1]
        # The model may be older than the ratings, so its row numbers are looked up by id.
        user_idx = ranker.factors.user_idx(user_ids)
        movie_idx = ranker.factors.movie_idx(inputs.movie_ids_N[offset[0] : offset[-1]])
        ranked = ranker.top_k(user_idx, Rated(offset - offset[0], movie_idx), scoring.top_k)
        yield table_of(ranker.factors, ranked, user_ids, user_idx, inputs.titles, scoring)


SCHEMA = pa.schema(
    {
        "user_id": pa.int32(),
        "rank": pa.int32(),
        "movie_id": pa.int32(),
        "title": pa.string(),
        "predicted_rating": pa.float32(),
        "source": pa.dictionary(pa.int8(), pa.string()),
        "model_version": pa.dictionary(pa.int8(), pa.string()),
        "run_id": pa.dictionary(pa.int8(), pa.string()),
    }
)


def table_of(
    factors: Factors,
    ranked: Ranked,
    user_ids_B: NDArray[np.int32],
    user_idx_B: NDArray[np.integer],
    titles: pa.Array,
    scoring: Scoring,
) -> pa.Table:
    """Rows of schemas.RECOMMENDATIONS but for ds, which is a partition's name."""
    source_R = factors.source(user_idx_B[ranked.row_R], ranked.movie_idx_R) == "popular"
    same_R = np.zeros(len(ranked.row_R), np.int8)
    columns = [
        user_ids_B[ranked.row_R],
        ranked.rank_R,
        factors.movie_ids_M[ranked.movie_idx_R].astype(np.int32),
        # No dictionary of all titles, which Parquet would repeat in every row group.
        titles.take(pa.array(ranked.movie_idx_R)),
        ranked.score_R.clip(factors.rating_min, factors.rating_max).astype(np.float32),
        pa.DictionaryArray.from_arrays(source_R.astype(np.int8), ["model", "popular"]),
        pa.DictionaryArray.from_arrays(same_R, [scoring.model_version]),
        pa.DictionaryArray.from_arrays(same_R, [scoring.run_id]),
    ]
    return pa.table(columns, schema=SCHEMA)
