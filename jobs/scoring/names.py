"""What the source calls the users and movies of rows, where that is none of our numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.factors import index_of


@dataclass(frozen=True)
class Names:
    """Of E users or movies, by id; of none where the source's ids are our numbers."""

    ids_E: NDArray[np.int32]
    """Ascending."""
    names_E: pa.Array

    def of(self, ids_R: NDArray[np.integer]) -> pa.Array:
        """The names of R ids; null where there is none."""
        place_R = index_of(self.ids_E, ids_R)
        return self.names_E.take(pa.array(place_R, mask=place_R < 0))

    def save(self, file: Path) -> None:
        """Write them for `load`."""
        table = pa.table({"id": self.ids_E, "name": self.names_E})
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, file: Path) -> Names:
        """Memory-map what `save` wrote."""
        table = pa.ipc.open_file(pa.memory_map(str(file))).read_all().combine_chunks()
        return cls(table["id"].to_numpy(), one_array(table["name"]))


def names_of(folder: Path, entity: str) -> Names:
    """Those in a folder of clean users or movies, perhaps of an earlier version without any."""
    name = f"source_{entity}_id"
    if name not in pq.ParquetDataset(folder).schema.names:
        return Names(np.empty(0, np.int32), pa.array([], pa.string()))
    rows = pq.read_table(folder, columns=[f"{entity}_id", name])
    rows = rows.filter(rows[name].is_valid()).sort_by(f"{entity}_id")
    return Names(rows[f"{entity}_id"].to_numpy().astype(np.int32), one_array(rows[name]))


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; of no chunk there is none to begin with."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
