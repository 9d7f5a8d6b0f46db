"""The ids that the source gives users and movies, by row number."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq


def read_ids(index: str, entity: str) -> np.ndarray:
    """The source's ids by row number, from an index of <entity>_id and <entity>_idx."""
    table = pq.read_table(index).sort_by(f"{entity}_idx")
    return table[f"{entity}_id"].to_numpy().astype(np.int32)
