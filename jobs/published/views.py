"""Published tables as views of DuckDB."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import duckdb
from deltalake import DeltaTable

from jobs.engines.duck import no_rows, open_memory, quoted
from jobs.published.delta import file_paths
from jobs.published.versions import tables_at
from jobs.runs.schemas import PUBLISHED, columns_of
from jobs.runs.warehouse import Warehouse


def connect(
    warehouse: Warehouse, needed: Iterable[str] = (), at: int | datetime | None = None
) -> duckdb.DuckDBPyConnection:
    """DuckDB with a view of each needed table, else of all there are, each of one version.

    The versions are the current ones, or those `at` a moment or a version of `recommendations`, as
    in `versions.tables_at`. Raises JobError if a needed table, or every table, is missing.
    """
    return connect_to(tables_at(warehouse, needed, at))


def connect_to(tables: dict[str, DeltaTable]) -> duckdb.DuckDBPyConnection:
    """DuckDB with a view of each of these published tables, by name."""
    connection = open_memory()
    for name, table in tables.items():
        add_version(connection, name, table)
    return connection


def add_version(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    version: DeltaTable,
    where: str | None = None,
    table: str | None = None,
) -> None:
    """Show a version of a published table as a view; see `view_of`.

    `table` is what it is published as, where the view is called otherwise.
    """
    view = view_of(connection, version, columns_of(PUBLISHED[table or name][0]), where)
    connection.execute(f"create view {name} as {view}")


def view_of(
    connection: duckdb.DuckDBPyConnection,
    table: DeltaTable,
    known: dict[str, str] | None = None,
    where: str | None = None,
) -> str:
    """SQL that selects all rows of a version, in the columns and types of its schema.

    Columns that none of the files has are null, and those of `known`, by name and type, that the
    version does not have yet. With `where`, a condition on columns in SQL, files that the log knows
    to hold no such row are left out: of the others, rows that do not meet it may still come.
    """
    fields = [(field.name, sql_type(field.type)) for field in table.schema().fields]
    known = known or {}
    later = {name: kind for name, kind in known.items() if name not in dict(fields)}
    partitions = table.metadata().partition_columns
    paths = file_paths(table, where)
    if not paths:
        return no_rows(dict(fields) | later)
    stored = [name for name, _ in fields if name not in partitions]
    nulls = in_no_file(connection, stored, paths) | set(later)
    values = {name: "null" if name in nulls else f'"{name}"' for name in dict(fields) | later}
    columns = ", ".join(
        f'cast({values[name]} as {kind}) as "{name}"'
        for name, kind in (dict(fields) | later).items()
    )
    files = ", ".join(map(quoted, paths))
    # Without types DuckDB would take a run named 2026 for a number. Where some files lack a column
    # that was added later, union_by_name gives nulls.
    types = ", ".join(f"'{name}': {kind}" for name, kind in fields if name in partitions)
    hive = f", hive_types = {{{types}}}" if types else ""
    return (
        f"select {columns} from read_parquet([{files}], union_by_name = true, "
        f"hive_partitioning = {bool(types)}{hive})"
    )


def in_no_file(
    connection: duckdb.DuckDBPyConnection, columns: Iterable[str], paths: Iterable[str]
) -> set[str]:
    """Of these columns, those that none of the Parquet files has.

    Files are opened until all are found, which most often is one.
    """
    missing = set(columns)
    for path in paths:
        rows = f"from read_parquet([{quoted(path)}], hive_partitioning = false)"
        missing -= {name for name, *_ in connection.execute(f"describe {rows}").fetchall()}
        if not missing:
            break
    return missing


def sql_type(kind: Any) -> str:
    """A Delta type in DuckDB's SQL, which knows Delta's names of the simple ones."""
    return f"{sql_type(kind.element_type)}[]" if kind.type == "array" else kind.type
