"""The one door from Parquet folders to DuckDB, and from few rows to Parquet."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from jobs.runs import schemas
from jobs.runs.errors import JobError

CLEAN = {"ratings": schemas.RATINGS, "movies": schemas.MOVIES, "users": schemas.USERS}
DELIVERED = CLEAN | {"quarantine": schemas.QUARANTINE}
# DuckDB's names of the types in our schemas.
DUCKDB_TYPES = {
    "int": "INTEGER",
    "bigint": "BIGINT",
    "string": "VARCHAR",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "array<string>": "VARCHAR[]",
}


TYPES = {"timestamp": "timestamp with time zone", "array<string>": "varchar[]"}


def open_tables(folders: dict[str, Path]) -> duckdb.DuckDBPyConnection:
    """Each of DELIVERED: a view of the Parquet files in its folder; no files are no rows."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for name, folder in folders.items():
        if any(folder.rglob("*.parquet")):
            files = str(folder / "**" / "*.parquet").replace("'", "''")
            connection.execute(f"create view {name} as from read_parquet('{files}')")
        else:
            connection.execute(f"create table {name} ({columns_in_sql(DELIVERED[name])})")
    return connection


def columns_in_sql(ddl: str) -> str:
    """A DDL schema as DuckDB's create table takes it."""
    columns = schemas.columns_of(ddl).items()
    return ", ".join(f"{name} {DUCKDB_TYPES[kind]}" for name, kind in columns)


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


def add_view(
    connection: duckdb.DuckDBPyConnection, name: str, folder: Path, ddl: str, partition: str = ""
) -> None:
    """A view of the Parquet files below a folder, in the columns of a DDL schema.

    `partition` is a column that the files lack, since a folder's name holds it. Raises JobError if
    there is no such folder; one without files is a table without rows.
    """
    if not folder.is_dir():
        raise JobError(f"{folder} is missing: run the step that writes it again.")
    files = sorted(folder.rglob("[!._]*.parquet"))
    kinds = {
        column: TYPES.get(kind, kind)
        for column, kind in schemas.columns_of(ddl).items()
        # Which run quarantined a line is plain: this one.
        if column not in (partition, "run_id")
    }
    if files:
        columns = ", ".join(f"{column}::{kind} as {column}" for column, kind in kinds.items())
        paths = ", ".join(quoted(str(file)) for file in files)
        rows = f"select {columns} from read_parquet([{paths}], hive_partitioning = false)"
    else:
        nothing = ", ".join(f"null::{kind} as {column}" for column, kind in kinds.items())
        rows = f"select {nothing} where false"
    connection.execute(f"create view {name} as {rows}")


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"
