"""Readers of four clients while one date is published again and again.

    PYTHONPATH=. python tests/benchmarks/readers_under_load.py

Prepares Parquet files in the layout of recommendations, 20 rows a user, and publishes one date ten
times through the job's own function, beside another date that must stay. Meanwhile each client
polls in a process of its own. A read is torn unless it finds the other date's rows, and of the date
published all rows of one publish and of no other. Ends with 1 if a read was torn, or older than one
before it by the same client.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, QueryBuilder

from jobs.published.delta import file_paths, publish_files
from jobs.published.views import connect
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.runs.warehouse import Warehouse

PUBLISHES, USERS, TOP_K, PAUSE = 10, 20_000, 20, 1.0
OTHER_DATE, DATE = "2026-11-22", "2026-11-23"
COUNTS = "select run_id, count(*) from recommendations group by run_id"

Counts = dict[str, int]
"""Rows by run_id: what a client found, or what a version holds."""


class Report(NamedTuple):
    """What a client saw."""

    reads: int
    seen: list[int]
    """Versions, in the order in which they were first seen."""
    torn: int
    went_back: int
    """Reads of an older version than the one before."""
    seconds: float
    """Of a typical read."""


def table(warehouse: Path) -> DeltaTable:
    return DeltaTable(warehouse / "tables" / "recommendations")


def by_duckdb(warehouse: Path) -> Counts:
    """As the commands read."""
    with connect(Warehouse(warehouse), ("recommendations",)) as tables:
        return dict(tables.sql(COUNTS).fetchall())


def by_delta_rs(warehouse: Path) -> Counts:
    """By the query engine of delta-rs."""
    query = QueryBuilder().register("recommendations", table(warehouse)).execute(COUNTS)
    # Not by pyarrow: 14 does not know the type of text that the engine returns.
    return dict(zip(*(column.to_pylist() for column in query.read_all().columns), strict=True))


def by_pandas(warehouse: Path) -> Counts:
    """As in docs/querying.md."""
    found = pd.read_parquet(file_paths(table(warehouse)), columns=["run_id"])
    return found["run_id"].value_counts().to_dict()


def by_polars(warehouse: Path) -> Counts:
    """As in docs/querying.md."""
    rows = pl.scan_parquet(file_paths(table(warehouse)), hive_partitioning=True)
    return dict(rows.group_by("run_id").len().collect().iter_rows())


def by_pattern(warehouse: Path) -> Counts:
    """All files that lie in the folder: what readers must not do, and what must count as torn."""
    files = warehouse / "tables" / "recommendations" / "*" / "*.parquet"
    query = f"select run_id, count(*) from read_parquet('{files}') group by run_id"
    return dict(duckdb.execute(query).fetchall())


CLIENTS: dict[str, Callable[[Path], Counts]] = {
    "DuckDB": by_duckdb,
    "delta-rs": by_delta_rs,
    "pandas": by_pandas,
    "Polars": by_polars,
}


def write_rows(source: Path, ds: str, run_id: str, users: int) -> int:
    """A run's recommendations in two files, as score leaves them; returns the number of rows."""
    folder = source / f"ds={ds}"
    folder.mkdir(parents=True)
    for number, ids in enumerate(np.array_split(np.arange(1, users + 1, dtype=np.int32), 2)):
        count = len(ids) * TOP_K
        ranks = np.tile(np.arange(1, TOP_K + 1, dtype=np.int32), len(ids))
        scores = (5 - ranks / 25).astype(np.float32)
        columns = {
            "user_id": np.repeat(ids, TOP_K),
            "rank": ranks,
            "movie_id": ranks,
            "title": pa.array(["A Film (1999)"] * count),
            "predicted_rating": scores,
            "source": pa.array(["model"] * count),
            "model_version": pa.array(["7"] * count),
            "run_id": pa.array([run_id] * count),
            "ranking_score": scores,
            "order_version": pa.array(["1"] * count),
            "rating_sd": pa.nulls(count, pa.float32()),
            "because_movie_id": ranks,
            "because_share": scores / 5,
            "source_user_id": pa.nulls(count, pa.string()),
            "source_movie_id": pa.nulls(count, pa.string()),
            "source_because_id": pa.nulls(count, pa.string()),
            "variant": pa.array(["champion"] * count),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet", row_group_size=77_000)
    return users * TOP_K


def publish(warehouse: Path, source: Path, ds: str, run_id: str) -> int:
    """Publish the files of a run; returns the table's version."""
    ddl, partition_by = PUBLISHED["recommendations"]
    folder, metadata = warehouse / "tables" / "recommendations", {"run_id": run_id}
    return publish_files(folder, source, in_json(ddl), partition_by, {"ds": ds}, metadata)


def poll(client: str, warehouse: Path, versions: list[Counts], ready: Any, stop: Any) -> Report:
    """Read until told to stop, and then once more, so that the last read is of the last version."""
    found: list[int | None] = []
    times = []
    last = False
    while not last:
        last = stop.is_set()
        started = time.perf_counter()
        counts = CLIENTS[client](warehouse)
        times.append(time.perf_counter() - started)
        found.append(version_of(counts, versions))
        if len(found) == 1:
            ready.wait(timeout=120)
    whole = [version for version in found if version is not None]
    back = sum(later < earlier for earlier, later in pairwise(whole))
    return Report(len(found), list(dict.fromkeys(whole)), found.count(None), back, median(times))


def version_of(counts: Counts, versions: list[Counts]) -> int | None:
    """The version that holds just these rows; None if the read was torn."""
    return versions.index(counts) if counts in versions else None


def measure(
    warehouse: Path, clients: Iterable[str], publishes: int, users: int, pause: float
) -> dict[str, Report]:
    """Publish under readers; returns what each client saw of the versions 0 to `publishes`."""
    clients = list(clients)
    sources = [warehouse / "made" / str(number) for number in range(publishes + 1)]
    other = warehouse / "made" / "other"
    rows = {"other": write_rows(other, OTHER_DATE, "other", users)}
    # Each with another number of rows, so that no version is taken for another.
    versions = [
        rows | {f"run-{number}": write_rows(source, DATE, f"run-{number}", users + number)}
        for number, source in enumerate(sources)
    ]
    publish(warehouse, other, OTHER_DATE, "other")
    publish(warehouse, sources[0], DATE, "run-0")
    # Spawned: the clients' threads do not survive a fork.
    context = get_context("spawn")
    with context.Manager() as shared, ProcessPoolExecutor(len(clients), context) as pool:
        ready, stop = shared.Barrier(len(clients) + 1), shared.Event()
        asked = {
            client: pool.submit(poll, client, warehouse, versions, ready, stop)
            for client in clients
        }
        for future in asked.values():
            # A client that fails before it is ready must not keep the others waiting.
            future.add_done_callback(lambda done: ready.abort() if done.exception() else None)
        try:
            ready.wait(timeout=120)
            for number in range(1, publishes + 1):
                publish(warehouse, sources[number], DATE, f"run-{number}")
                time.sleep(pause)
        finally:
            stop.set()
        reports = {client: future.result() for client, future in asked.items()}
    if publishes and version_of(by_pattern(warehouse), versions) is not None:
        raise AssertionError("A read of replaced files counts as whole: the measure is broken.")
    return reports


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        reports = measure(Path(folder), CLIENTS, PUBLISHES, USERS, PAUSE)
    print(f"{PUBLISHES} publishes of {USERS * TOP_K:,} rows, {len(CLIENTS)} readers")
    for client, report in reports.items():
        print(
            f"{client:8}  {report.reads:4} reads, {len(report.seen)} of {PUBLISHES + 1} versions, "
            f"torn {report.torn}, went back {report.went_back}, typical {report.seconds:.3f} s"
        )
    sys.exit(any(report.torn or report.went_back for report in reports.values()))


if __name__ == "__main__":
    main()
