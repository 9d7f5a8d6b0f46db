"""The tables that etl writes, as DuckDB sees them."""

from __future__ import annotations

from pathlib import Path

import duckdb

from jobs import schemas

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
