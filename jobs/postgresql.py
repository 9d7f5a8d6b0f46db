"""The second sink: what the Delta tables hold of a date, in PostgreSQL, for those who ask there.

In the schema `nightreel`: `recommendations`, partitioned by ds, `movies`, `runs`, and the view
`current`, the recommendations of the newest date. Rows stream from Parquet into a partition of
their own, by COPY, which is indexed before one transaction puts it in the place of the date's old
one: readers see the date before or after, and a load killed at any moment leaves it as it was. No
reader waits behind the swap for longer than LOCK_TIMEOUT: it gives up its place in the queue, lets
readers pass, and tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from jobs.delta import file_paths, open_table
from jobs.errors import JobError
from jobs.published import connect
from jobs.schemas import PUBLISHED, columns_of

SCHEMA = "nightreel"
KEYS = {"recommendations": ("ds", "user_id", "rank"), "movies": ("movie_id",), "runs": ("run_id",)}
# PostgreSQL's names of types that DDL calls otherwise.
TYPES = {
    "float": "real",
    "double": "double precision",
    "string": "text",
    "timestamp": "timestamptz",
    "array<string>": "text[]",
}
LOCK_TIMEOUT, PATIENCE = 0.1, 600.0
"""In seconds: how long a try to swap may hold readers up, and for how long it is tried."""
BATCH_ROWS = 50_000


@contextmanager
def connection_to(dsn: str) -> Iterator[Connection]:
    """A connection on which loads wait for one another; the tables are there, or are made.

    `dsn` is a connection string of libpq, which takes what it does not say from its own variables
    and ~/.pgpass. Raises JobError if there is no such server, or the user may not create tables.
    """
    try:
        psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Its own message repeats the string, and with it a password.
        raise JobError(
            "PostgreSQL: NIGHTREEL_POSTGRESQL, or publish.postgresql in conf, is no connection "
            "string. Expected postgresql://user@host:5432/database."
        ) from None
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=True,
            application_name="nightreel",
            client_encoding="utf8",
            connect_timeout=10,
        )
    except psycopg.OperationalError as error:
        raise JobError(
            f"PostgreSQL cannot be reached, and nothing was published: {sentence(error)}. Look at "
            "NIGHTREEL_POSTGRESQL, or publish.postgresql in conf, and at the server."
        ) from None
    with connection:
        try:
            prepare(connection)
        except psycopg.Error as error:
            raise JobError(
                f"PostgreSQL: schema {SCHEMA} cannot be made ready, and nothing was published: "
                f"{sentence(error)}."
            ) from None
        yield connection


def sentence(error: psycopg.Error) -> str:
    """What the server or libpq said, in one line."""
    return " ".join(str(error).split()).rstrip(".")


def prepare(connection: Connection) -> None:
    """Create schema, tables and view; add columns that earlier versions of a schema lacked."""
    # Released when the connection ends.
    take_turn = "select pg_try_advisory_lock(hashtext('nightreel'))"
    waiting = False
    while connection.execute(take_turn).fetchone() == (False,):
        if not waiting:
            print("PostgreSQL: waiting for another load to end", flush=True)
        waiting = True
        time.sleep(1)
    connection.execute("set timezone = 'UTC'")
    # Whoever may not create a schema, may write into one that is there.
    if connection.execute("select to_regnamespace(%s)", [SCHEMA]).fetchone() == (None,):
        connection.execute(f"create schema {SCHEMA}")
    connection.execute(f"set search_path = {SCHEMA}")
    with connection.transaction():
        changed = [name for name in KEYS if make_table(connection, name)]
        if "recommendations" in changed:
            connection.execute(
                'create or replace view "current" as select * from recommendations '
                "where ds = (select max(ds) from runs)"
            )


def make_table(connection: Connection, name: str) -> bool:
    """Create a table, or add the columns that it lacks; returns whether it had to."""
    fields = {c: TYPES.get(k, k) for c, k in columns_of(PUBLISHED[name][0]).items()}
    there = columns_in(connection, name)
    if not there:
        columns = ", ".join(f"{column} {kind}" for column, kind in fields.items())
        parts = " partition by list (ds)" if name == "recommendations" else ""
        key = ", ".join(KEYS[name])
        connection.execute(f"create table {name} ({columns}, primary key ({key})){parts}")
        return True
    missing = [column for column in fields if column not in there]
    for column in missing:
        connection.execute(f"alter table {name} add column {column} {fields[column]}")
    return bool(missing)


def columns_in(connection: Connection, table: str) -> set[str]:
    query = (
        "select column_name from information_schema.columns "
        "where table_schema = %s and table_name = %s"
    )
    return {row[0] for row in connection.execute(query, [SCHEMA, table])}


def load(connection: Connection, warehouse: Path, ds: date) -> int:
    """Show what the Delta tables hold of a date, its runs and all movies; returns the rows of ds.

    Raises JobError if nothing is published for the date, or the server fails.
    """
    partition = f"recommendations_{ds:%Y_%m_%d}"
    try:
        with connection.transaction():
            rows = fill(connection, warehouse, ds, partition)
        swap(connection, warehouse, ds, partition)
    except psycopg.Error as error:
        raise JobError(
            f"PostgreSQL still shows what it showed before: {sentence(error)}. The Delta tables "
            f"are published. Once the server is well again: nightreel sink --ds {ds}"
        ) from None
    return rows


def fill(connection: Connection, warehouse: Path, ds: date, partition: str) -> int:
    """Make the date's new partition, on the side, with its index; returns its rows."""
    # pyarrow takes longer to import than a query takes.
    import pyarrow.parquet as pq
    from pyarrow import csv

    files = file_paths(open_table(warehouse, "recommendations"), f"ds = '{ds}'")
    if not files:
        raise JobError(f"Nothing is published for {ds}.")
    connection.execute(f"drop table if exists {partition}_new")
    # The check spares ATTACH from reading all rows.
    connection.execute(
        f"create table {partition}_new (like recommendations including defaults, "
        f"check (ds = '{ds}'))"
    )
    connection.execute(f"alter table {partition}_new alter column ds set default '{ds}'")
    rows, options = 0, csv.WriteOptions(include_header=False)
    for file in files:
        parquet = pq.ParquetFile(file)
        names = sql.SQL(", ").join(map(sql.Identifier, parquet.schema_arrow.names))
        copy = sql.SQL("copy {} ({}) from stdin (format csv, freeze)").format(
            sql.Identifier(f"{partition}_new"), names
        )
        with connection.cursor().copy(copy) as target:
            for batch in parquet.iter_batches(BATCH_ROWS):
                target.write(in_csv(batch, options))
                rows += batch.num_rows
    key = ", ".join(KEYS["recommendations"])
    connection.execute(f"alter table {partition}_new alter column ds drop default")
    connection.execute(f"alter table {partition}_new add primary key ({key})")
    connection.execute(f"analyze {partition}_new")
    return rows


def in_csv(batch: Any, options: Any) -> memoryview:
    """Rows as COPY reads them: text stands in quotes, and what stands nowhere is null."""
    import pyarrow as pa
    from pyarrow import csv

    buffer = pa.BufferOutputStream()
    csv.write_csv(batch, buffer, options)
    return memoryview(buffer.getvalue())


def swap(connection: Connection, warehouse: Path, ds: date, partition: str) -> None:
    """In one transaction, put the new partition, the movies and the runs where readers look."""
    tables = connect(warehouse, ("movies", "runs"))
    with connection.transaction():
        # Those who read rows do not wait for those who replace them.
        connection.execute("delete from movies")
        copy_rows(connection, "movies", tables.execute("select * from movies"))
        runs = tables.execute("select * from runs where ds = ?", [ds])
        connection.execute("delete from runs where ds = %s", [ds])
        copy_rows(connection, "runs", runs)
        connection.execute(f"set local lock_timeout = {int(1000 * LOCK_TIMEOUT)}")
        until = time.monotonic() + PATIENCE
        while not attach(connection, ds, partition):
            if time.monotonic() > until:
                raise psycopg.errors.LockNotAvailable(
                    f"somebody has been reading the table for {PATIENCE / 60:.0f} minutes"
                )
            time.sleep(5 * LOCK_TIMEOUT)


def attach(connection: Connection, ds: date, partition: str) -> bool:
    """Put the new partition in the place of the old one; False if readers stand in the way."""
    try:
        with connection.transaction():
            # Readers wait from here to the end: nothing that takes time may come after it.
            connection.execute("lock table only recommendations in access exclusive mode")
            connection.execute(f"drop table if exists {partition}")
            connection.execute(f"alter table {partition}_new rename to {partition}")
            connection.execute(f"alter index {partition}_new_pkey rename to {partition}_pkey")
            connection.execute(
                f"alter table recommendations attach partition {partition} for values in ('{ds}')"
            )
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def copy_rows(connection: Connection, name: str, rows: Any) -> None:
    """Add the rows of a DuckDB query to a small table."""
    columns = ", ".join(column[0] for column in rows.description)
    with connection.cursor().copy(f"copy {name} ({columns}) from stdin") as target:
        while batch := rows.fetchmany(10_000):
            for row in batch:
                target.write_row(row)
