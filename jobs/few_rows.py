"""A few rows of a published table, written as Parquet where a run keeps what it will commit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from jobs import schemas
from jobs.delivered_tables import columns_in_sql


def write_few_rows(folder: Path, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Write rows of one of schemas.PUBLISHED, replacing the folder, as its partitions lie."""
    ddl, partition_by = schemas.PUBLISHED[table]
    shutil.rmtree(folder, ignore_errors=True)
    target = str(folder).replace("'", "''")
    with duckdb.connect() as connection:
        connection.execute(f"create table rows ({columns_in_sql(ddl)})")
        marks = ", ".join("?" * len(schemas.columns_of(ddl)))
        connection.executemany(f"insert into rows values ({marks})", rows)
        by = ", ".join(partition_by)
        connection.execute(f"copy rows to '{target}' (format parquet, partition_by ({by}))")
