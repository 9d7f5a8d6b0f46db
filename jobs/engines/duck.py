"""The one door from Parquet folders to DuckDB, and from few rows to Parquet."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from jobs.runs import schemas
from jobs.runs.errors import JobError
from model.files import make_folder


def open_memory() -> duckdb.DuckDBPyConnection:
    """A database in memory. Times are kept in UTC and shown so, whatever the machine's zone."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    return connection


def confine(connection: duckdb.DuckDBPyConnection, files: Sequence[str], scratch: str) -> None:
    """Let a connection open these files and no others, for good; it spills to `scratch`.

    What it may read it may also write, as DuckDB sees it.
    """
    connection.execute(f"set temp_directory = {quoted(scratch)}")
    connection.execute(f"set allowed_paths = [{', '.join(map(quoted, files))}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def open_tables(folders: dict[str, Path], scratch: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Views of what a run has written for some of schemas.PUBLISHED; see `add_view`.

    What does not fit into memory goes to a folder in `scratch`, which is made if need be.
    """
    connection = open_memory()
    if scratch:
        make_folder(scratch)
        connection.execute(f"set temp_directory = {quoted(str(scratch / 'duckdb'))}")
    for name, folder in folders.items():
        add_view(connection, name, folder, *schemas.PUBLISHED[name])
    return connection


def add_view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    folder: Path,
    ddl: str,
    partition_by: Sequence[str] = (),
) -> None:
    """A view of the Parquet files below a folder: what columns they have, then the partitions'.

    Those of schemas.LATER that the DDL schema has, and files of earlier versions lack, are null. A
    folder without files is a table without rows, in the columns of the DDL schema. Raises JobError
    if there is none.
    """
    if not folder.is_dir():
        raise JobError(f"{folder} is missing: run the step that writes it again.")
    kinds = duckdb_columns(ddl)
    if files := parquet_files(folder):
        paths = ", ".join(quoted(str(file)) for file in files)
        found = f"describe from read_parquet({quoted(str(files[0]))}, hive_partitioning = false)"
        stored = [column for column, *_ in connection.execute(found).fetchall()]
        # Other folders above may be called as partitions are; and without types DuckDB would take a
        # run named 2026 for a number.
        columns = ", ".join(f'"{column}"' for column in [*stored, *partition_by])
        for column in schemas.LATER:
            if column in kinds and column not in stored:
                columns += f", cast(null as {kinds[column]}) as {column}"
        types = ", ".join(f"'{column}': {kinds[column]}" for column in partition_by)
        hive = f", hive_types = {{{types}}}" if types else ""
        rows = f"select {columns} from read_parquet([{paths}], "
        rows += f"hive_partitioning = {bool(types)}{hive})"
    else:
        rows = no_rows(kinds)
    connection.execute(f"create view {name} as {rows}")


def parquet_files(folder: Path) -> list[Path]:
    """Spark's finished files; names with '_' or '.' in front are its marks and work in progress."""
    return [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if not any(part.startswith(("_", ".")) for part in file.relative_to(folder).parts)
    ]


def write_few_rows(folder: Path, table: str, rows: Sequence[Sequence[object]]) -> None:
    """Write rows of one of schemas.PUBLISHED, replacing the folder, as its partitions lie."""
    ddl, partition_by = schemas.PUBLISHED[table]
    shutil.rmtree(folder, ignore_errors=True)
    with duckdb.connect() as connection:
        connection.execute(f"create table rows ({columns_in_sql(ddl)})")
        marks = ", ".join("?" * len(schemas.columns_of(ddl)))
        connection.executemany(f"insert into rows values ({marks})", rows)
        copy(connection, "from rows", folder, f", partition_by ({', '.join(partition_by)})")


def copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, options: str = "") -> int:
    """Write what a query returns to Parquet; returns the number of rows.

    Raises JobError where the disk is full, broken or forbidden: with DuckDB this is no OSError.
    """
    try:
        copied = connection.execute(
            f"copy ({query}) to {quoted(str(target))} (format parquet{options})"
        )
        [(rows,)] = copied.fetchall()
    except duckdb.IOException as error:
        raise JobError(f"{target} cannot be written: {error}") from None
    return rows


def duckdb_columns(ddl: str) -> dict[str, str]:
    """The columns of a DDL schema, with DuckDB's names of their types."""
    return {column: schemas.names_of(k).duckdb for column, k in schemas.columns_of(ddl).items()}


def columns_in_sql(ddl: str) -> str:
    """A DDL schema as DuckDB's create table takes it."""
    return ", ".join(f"{column} {kind}" for column, kind in duckdb_columns(ddl).items())


def by_source(query: str, *columns: str) -> str:
    """SQL of a query's rows with ids as the source writes them.

    These stand in `columns`, user_id or movie_id; views `users` and `movies` know them.
    """
    shown, joins = [], []
    for column in columns:
        table = f"{column.removesuffix('_id')}s"
        shown.append(f"coalesce(source_{column}, {column}::varchar) as {column}")
        joins.append(f"left join (select {column}, source_{column} from {table}) using ({column})")
    hidden = ", ".join(f"source_{column}" for column in columns)
    return (
        f"select * exclude ({hidden}) replace ({', '.join(shown)}) from ({query}) {' '.join(joins)}"
    )


def no_rows(columns: dict[str, str]) -> str:
    """SQL that selects nothing, in columns of these types."""
    nulls = ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in columns.items())
    return f"select {nulls} where false"


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"
