"""Rows that a run takes over from an earlier one, a few users at a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.delta import parquet_files
from jobs.footers import read_footer, statistics

COLUMNS = ["user_id", "rank", "movie_id", "predicted_rating", "source", "ranking_score"]


@cache
def bounds(folder: Path) -> list[tuple[Path, int, int]]:
    """The files of recommendations that hold rows, each with its lowest and highest user id."""
    found = []
    for file in parquet_files(folder):
        footer = read_footer(file)
        if footer.num_rows:
            told = statistics(footer)
            low, high = (told[key]["user_id"] for key in ("minValues", "maxValues"))
            found.append((file, low, high))
    return found


def kept_rows(folder: Path, user_ids: NDArray[np.int32]) -> pa.Table:
    """COLUMNS of the rows of these users, who ascend, in the recommendations of an earlier run."""
    empty = pa.table({name: [] for name in COLUMNS})
    if not len(user_ids):
        return empty
    first, last = int(user_ids[0]), int(user_ids[-1])
    # Row groups that hold other users only are passed over by their own bounds.
    between = (pc.field("user_id") >= first) & (pc.field("user_id") <= last)
    tables = [
        pq.read_table(file, columns=COLUMNS, filters=between, partitioning=None)
        for file, low, high in bounds(folder)
        if low <= last and high >= first
    ]
    if not tables:
        return empty
    rows = pa.concat_tables(tables)
    return rows.filter(pc.is_in(rows["user_id"], pa.array(user_ids)))
