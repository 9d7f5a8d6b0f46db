"""What a release says of users and movies, as features that are there or not.

A movie has its genres and five years in which it came out, a user a gender, ten years of age and an
occupation. What a release does not say is no feature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

YEARS = {"year": 5, "age": 10}
# A feature of fewer rows than this says nothing.
LEAST_ROWS = 2


# A folder of schemas.USERS or schemas.MOVIES, or its rows.
Told: TypeAlias = str | pa.Table


def features(
    table: Told, entity: str, ids_N: NDArray[np.integer], columns: list[str]
) -> NDArray[np.float32]:
    """N rows by features, in the order of columns and values; a row's of one column have length 1.

    Raises ValueError if the table cannot be read.
    """
    read = columns_of(table, [f"{entity}_id", *columns])
    row_of = {id_: row for row, id_ in enumerate(ids_N.tolist())}
    row_T = [row_of.get(id_) for id_ in read[f"{entity}_id"].to_pylist()]
    blocks = [np.zeros((len(ids_N), 0), np.float32)]
    for column in columns:
        told = {
            row: set(values_of(column, value))
            for row, value in zip(row_T, read[column].to_pylist(), strict=True)
            if row is not None
        }
        blocks.append(one_column(told, len(ids_N)))
    return np.concatenate(blocks, 1)


def columns_of(table: Told, columns: list[str]) -> pa.Table:
    """Some of its columns. Raises ValueError, naming it, if it cannot be read."""
    if isinstance(table, pa.Table):
        return table.select(columns)
    try:
        return pq.read_table(table, columns=columns)
    except Exception as error:
        raise ValueError(f"{table} cannot be read: {error}") from error


def values_of(column: str, value: Any) -> Iterator[Any]:
    """The features of a cell: genres of a list, the years that it falls into, or itself."""
    if value is None:
        return
    if isinstance(value, list):
        yield from value
    else:
        yield value // YEARS[column] if column in YEARS else value


def one_column(told: dict[int, set[Any]], rows: int) -> NDArray[np.float32]:
    """The features of one column."""
    counts = Counter(chain.from_iterable(told.values()))
    known = sorted(value for value, count in counts.items() if count >= LEAST_ROWS)
    place = {value: number for number, value in enumerate(known)}
    block = np.zeros((rows, len(known)), np.float32)
    for row, values in told.items():
        there = [place[value] for value in values if value in place]
        if there:
            block[row, there] = len(there) ** -0.5
    return block
