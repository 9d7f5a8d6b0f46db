"""One rank's histories, read through petastorm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.data.histories import COLUMNS, UNKNOWN, Histories
from model.data.reading import open_reader, parquet_files, unreadable

if TYPE_CHECKING:
    import pandas as pd

TYPES = (np.int32, np.int32, np.float32, np.int64, np.int8)


def flat(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per rating of rows that hold lists, as petastorm has no columns of unequal lists."""
    import pandas as pd

    user_N = rows["user_idx"].to_numpy().repeat(rows["movie_idx"].map(len))
    columns = {"user_idx": user_N}
    for name in COLUMNS[1:]:
        columns[name] = np.concatenate([*rows[name], []])
    columns["rated_at"] = np.nan_to_num(columns["rated_at"], nan=UNKNOWN)
    cast = {name: columns[name].astype(kind) for name, kind in zip(COLUMNS, TYPES, strict=True)}
    return pd.DataFrame(cast)


def read_history_shard(folder: Path, rank: int, ranks: int) -> Histories:
    """This rank's row groups, by user. Raises ValueError, naming the file, if one is damaged."""
    # Here as in `open_reader`: who imports a model of order need not read through petastorm.
    from petastorm import TransformSpec

    files = parquet_files(folder)
    fields = [(name, kind, (), False) for name, kind in zip(COLUMNS, TYPES, strict=True)]
    spec = TransformSpec(flat, edit_fields=fields, selected_fields=COLUMNS)
    try:
        with open_reader(
            folder,
            rank,
            ranks,
            COLUMNS,
            transform_spec=spec,
            shuffle_row_groups=False,
            workers_count=2,
        ) as reader:
            batches = [tuple(getattr(batch, name) for name in COLUMNS) for batch in reader]
    except Exception as error:
        raise ValueError(unreadable(files, error, COLUMNS)) from error
    user_N, *columns = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    # Row groups come in an order that depends on the reader's threads; a history lies in one.
    order_N = np.argsort(user_N, kind="stable")
    user_U, first_U = np.unique(user_N[order_N], return_index=True)
    offset_U1 = np.append(first_U, len(user_N)).astype(np.int64)
    return Histories(user_U, offset_U1, *(column[order_N] for column in columns))
