"""What users were shown of late, which score.repeat_after keeps from coming again.

That is what the published table holds for the nights before a run's date, as readers see it when
`score` begins: what was restored, or published anew, counts as it stands there. Rows of other
releases, whose movies have other ids, do not, and neither do dates that hold nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from numpy.typing import NDArray

from jobs.published.delta import file_paths
from jobs.published.runs_table import runs_of_release
from jobs.published.versions import versions_at
from jobs.runs.run import Run
from model.factors import index_of
from model.ranking.lists import Lists

COLUMNS = ["user_id", "movie_id"]
NOTHING = np.empty(0, np.int32)
# What makes the lowest number in 32 bits 0.
LOWEST = np.int64(2**31)


@dataclass(frozen=True)
class Shown:
    """The rows of N recommendations of earlier nights; a movie may stand there more than once."""

    nights: list[date] = field(default_factory=list)
    """Newest first."""
    user_id_N: NDArray[np.int32] = field(default_factory=lambda: NOTHING)
    movie_id_N: NDArray[np.int32] = field(default_factory=lambda: NOTHING)

    @classmethod
    def before(cls, run: Run) -> Shown:
        """What the last score.repeat_after nights before the run's date have shown."""
        wanted = run.conf.score.repeat_after
        version = versions_at(run.warehouse, None).get("recommendations") if wanted else None
        runs = runs_of_release(run.warehouse, run.release) if wanted else []
        if version is None or not runs:
            return cls()
        table = DeltaTable(run.warehouse.table("recommendations"), version=version)
        dates = {date.fromisoformat(partition["ds"]) for partition in table.partitions()}
        nights: list[date] = []
        found: list[pa.Table] = []
        for night in sorted((ds for ds in dates if ds < run.ds), reverse=True):
            rows = rows_of(file_paths(table, f"ds = '{night}'"), runs)
            if len(rows):
                nights.append(night)
                found.append(rows)
            if len(nights) == wanted:
                break
        ids = ([rows[name].to_numpy() for rows in found] for name in COLUMNS)
        return cls(nights, *(np.concatenate([NOTHING, *of]).astype(np.int32) for of in ids))

    def to(self, user_ids_U: NDArray[np.int32]) -> Lists:
        """What each of U users, whose ids ascend, was shown."""
        place_N = index_of(user_ids_U, self.user_id_N).astype(np.int64)
        # Ids may be below 0; in both halves of a pair numbers then ascend from 0.
        pair_N = place_N << 32 | self.movie_id_N + LOWEST
        pair_P = np.unique(pair_N[place_N >= 0])
        count_U = np.bincount(pair_P >> 32, minlength=len(user_ids_U))
        movie_P = ((pair_P & 0xFFFFFFFF) - LOWEST).astype(np.int32)
        return Lists(np.concatenate([[0], np.cumsum(count_U)]), movie_P)


def rows_of(files: list[str], run_ids: list[str]) -> pa.Table:
    """COLUMNS of the rows of these runs."""
    ours = pc.field("run_id").isin(run_ids)
    parts = [pq.read_table(f, columns=COLUMNS, filters=ours, partitioning=None) for f in files]
    return pa.concat_tables(parts)
