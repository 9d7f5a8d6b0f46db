"""What a run's steps wrote, as DuckDB views, for questions that end in a few rows.

DuckDB reads the Parquet files column by column and adds up in parallel, so tens of millions of
ratings need seconds and little memory. Sums of ratings are exact, whatever the order.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from jobs import schemas
from jobs.errors import JobError
from jobs.run import Run

CLEAN = {
    "ratings": schemas.RATINGS,
    "movies": schemas.MOVIES,
    "users": schemas.USERS,
    "quarantine": schemas.QUARANTINE,
}
TYPES = {"timestamp": "timestamp with time zone", "array<string>": "varchar[]"}
# What sorting needs beyond this goes to the run's scratch.
MEMORY = "4GB"


def clean_tables(run: Run) -> duckdb.DuckDBPyConnection:
    """Views of a run's clean tables, and what all questions about counts and means start from.

    `user_counts`, `movie_counts`: number and sum of the ratings of every user and movie, of those
    without any too. Raises JobError, naming the folder, if the run has no such tables.
    """
    connection = duckdb.connect()
    connection.execute(f"set memory_limit = '{MEMORY}'")
    connection.execute(f"set temp_directory = {quoted(str(run.staging / 'duckdb'))}")
    # It would draw over what the step prints.
    connection.execute("set enable_progress_bar = false")
    # Times are kept in UTC and shown so, whatever the zone of the machine.
    connection.execute("set TimeZone = 'UTC'")
    for name, ddl in CLEAN.items():
        add_view(connection, name, run.data(name), ddl)
    for entity in ("user", "movie"):
        connection.execute(f"""
            create temp table {entity}_counts as
            with counted as (
                select {entity}_id, count(*) ratings, sum(rating::double) total
                from ratings group by {entity}_id
            )
            select {entity}_id, coalesce(ratings, 0) ratings, coalesce(total, 0) total
            from counted full join (select {entity}_id from {entity}s) using ({entity}_id)
            order by {entity}_id
            """)
    return connection


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
