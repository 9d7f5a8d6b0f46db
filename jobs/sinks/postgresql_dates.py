"""Dates of the second sink: one is shown as the Delta tables hold it, others are dropped.

Rows stream from Parquet into a partition of their own, by COPY, which is indexed before one
transaction puts it in the place of the date's old one: readers see the date before or after, and a
load killed at any moment leaves it as it was. No reader waits behind a change for longer than
LOCK_TIMEOUT: it gives up its place in the queue, lets readers pass, and tries again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import psycopg
from psycopg import Connection, sql

from jobs.engines.postgresql_connection import sentence
from jobs.published.delta import file_paths
from jobs.published.versions import tables_at
from jobs.published.views import connect
from jobs.runs.errors import JobError
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import KEYS, SCHEMA

PARTITION = r"recommendations_(\d{4})_(\d\d)_(\d\d)"
LOCK_TIMEOUT, PATIENCE = 0.1, 600.0
"""In seconds: how long a try to change may hold readers up, and for how long it is tried."""
BATCH_ROWS = 50_000


def drop_users(
    connection: Connection, ids: Iterable[str], numbers: Iterable[int], others: Iterable[str]
) -> int:
    """Take users out of all dates but those of `others`, runs of other releases; how many rows.

    They are given by `source_user_id` and `user_id`. Raises JobError if the server fails.
    """
    try:
        with connection.transaction():
            done = connection.execute(
                "delete from recommendations "
                "where (source_user_id = any(%s) or user_id = any(%s)) and run_id <> all(%s)",
                [list(ids), list(numbers), list(others)],
            )
            return done.rowcount
    except psycopg.Error as error:
        raise JobError(
            f"PostgreSQL still holds who was erased: {sentence(error)}. Once the server is well "
            "again, erase again."
        ) from None


def load(connection: Connection, warehouse: Warehouse, ds: date) -> int:
    """Show what the Delta tables hold of a date, its runs and all movies; returns the rows of ds.

    Raises JobError if nothing is published for the date, or the server fails.
    """
    partition = partition_of(ds)
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


def partition_of(ds: date) -> str:
    """The table that holds a date; PARTITION finds it again."""
    return f"recommendations_{ds:%Y_%m_%d}"


def fill(connection: Connection, warehouse: Warehouse, ds: date, partition: str) -> int:
    """Make the date's new partition, on the side, with its index; returns its rows."""
    # pyarrow takes longer to import than a query takes.
    import pyarrow.parquet as pq
    from pyarrow import csv

    tables = tables_at(warehouse, ("recommendations",), None)
    files = file_paths(tables["recommendations"], f"ds = '{ds}'")
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
    # Where the source's ids are our numbers, it is empty.
    connection.execute(
        f"create index on {partition}_new (source_user_id, rank) where source_user_id is not null"
    )
    connection.execute(f"analyze {partition}_new")
    return rows


def in_csv(batch: Any, options: Any) -> bytes:
    """Rows as COPY reads them: text stands in quotes, and what stands nowhere is null.

    NUL, which PostgreSQL's text cannot hold, is left out.
    """
    import pyarrow as pa
    from pyarrow import csv

    buffer = pa.BufferOutputStream()
    csv.write_csv(batch, buffer, options)
    return buffer.getvalue().to_pybytes().replace(b"\0", b"")


def swap(connection: Connection, warehouse: Warehouse, ds: date, partition: str) -> None:
    """In one transaction, put the new partition, the movies and the runs where readers look."""
    tables = connect(warehouse, ("movies", "runs"))
    stage(connection, "movies", tables.execute("select * from movies"))
    stage(connection, "runs", tables.execute("select * from runs where ds = ?", [ds]))

    def attach() -> None:
        # Those who read rows do not wait for those who replace them.
        replace_rows(connection, "movies", "true")
        replace_rows(connection, "runs", f"ds = '{ds}'")
        hold_readers(connection)
        connection.execute(f"drop table if exists {partition}")
        connection.execute(f"alter table {partition}_new rename to {partition}")
        connection.execute(f"alter index {partition}_new_pkey rename to {partition}_pkey")
        connection.execute(
            f"alter table recommendations attach partition {partition} for values in ('{ds}')"
        )

    change(connection, attach)


def change(connection: Connection, make: Callable[[], None]) -> None:
    """Make a change in one transaction, anew until no reader stands in its way.

    A try that fails leaves nothing behind: no lock is held while the next one is waited for.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with connection.transaction():
                connection.execute(f"set local lock_timeout = {int(1000 * LOCK_TIMEOUT)}")
                make()
            return
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > until:
                raise psycopg.errors.LockNotAvailable(
                    f"somebody has been reading the table for {PATIENCE / 60:.0f} minutes"
                ) from None
            time.sleep(5 * LOCK_TIMEOUT)


def hold_readers(connection: Connection) -> None:
    """Readers wait from here to the transaction's end: nothing that takes time may come after."""
    connection.execute("lock table only recommendations in access exclusive mode")


def dates_in(connection: Connection) -> list[date]:
    """The dates that have a partition, ascending."""
    query = (
        "select relname from pg_inherits join pg_class on pg_class.oid = inhrelid "
        f"where inhparent = to_regclass('{SCHEMA}.recommendations') order by relname"
    )
    names = (re.fullmatch(PARTITION, name) for (name,) in connection.execute(query))
    return [date(*map(int, name.groups())) for name in names if name]


def drop_dates(connection: Connection, dates: Iterable[date]) -> None:
    """Take dates out of the table, all at once."""

    def drop() -> None:
        hold_readers(connection)
        for ds in dates:
            connection.execute(f"drop table {partition_of(ds)}")

    try:
        change(connection, drop)
    except psycopg.Error as error:
        raise JobError(
            f"PostgreSQL still shows dates that have left the Delta table: {sentence(error)}. Once "
            "the server is well again: nightreel cleanup"
        ) from None


def stage(connection: Connection, name: str, rows: Any) -> None:
    """Copy the rows of a DuckDB query aside, for `replace_rows`."""
    connection.execute(f"drop table if exists pg_temp.new_{name}")
    connection.execute(f"create temporary table new_{name} (like {name})")
    copy_rows(connection, f"new_{name}", rows)
    connection.execute(f"analyze new_{name}")


def replace_rows(connection: Connection, name: str, where: str) -> None:
    """Put the rows of `stage` in the place of those that meet a condition.

    Rows that are the same already are left alone, so that a try costs little.
    """
    [key] = KEYS[name]
    connection.execute(
        f"delete from {name} old where ({where} or {key} in (select {key} from new_{name})) "
        f"and not exists (select from new_{name} new where new.{key} = old.{key} "
        "and new is not distinct from old)"
    )
    connection.execute(
        f"insert into {name} select * from new_{name} new "
        f"where not exists (select from {name} old where old.{key} = new.{key})"
    )


def copy_rows(connection: Connection, name: str, rows: Any) -> None:
    """Add the rows of a DuckDB query to a small table."""
    columns = ", ".join(column[0] for column in rows.description)
    with connection.cursor().copy(f"copy {name} ({columns}) from stdin") as target:
        while batch := rows.fetchmany(10_000):
            for row in batch:
                target.write_row([without_nul(value) for value in row])


def without_nul(value: Any) -> Any:
    """A value as PostgreSQL can hold it."""
    if isinstance(value, list):
        return [without_nul(inner) for inner in value]
    return value.replace("\0", "") if isinstance(value, str) else value
