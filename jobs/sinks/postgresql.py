"""A PostgreSQL server as a second sink: the connection to it, and the tables that it has.

In the schema `nightreel`: `recommendations`, partitioned by ds, `movies`, `runs`, and the view
`current`, the recommendations of the newest date. jobs/sinks/postgresql_dates.py fills them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection

from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED, columns_of, names_of

SCHEMA = "nightreel"
KEYS = {"recommendations": ("ds", "user_id", "rank"), "movies": ("movie_id",), "runs": ("run_id",)}


def connected(dsn: str) -> Connection:
    """A connection, on which nothing has been done yet.

    `dsn` is a connection string of libpq, which takes what it does not say from its own variables
    and ~/.pgpass. Raises JobError if there is no such server.
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
        return psycopg.connect(
            dsn,
            autocommit=True,
            application_name="nightreel",
            client_encoding="utf8",
            connect_timeout=10,
        )
    except psycopg.OperationalError as error:
        raise JobError(
            f"PostgreSQL cannot be reached, and nothing was changed: {sentence(error)}. Look at "
            "NIGHTREEL_POSTGRESQL, or publish.postgresql in conf, and at the server."
        ) from None


@contextmanager
def connection_to(dsn: str) -> Iterator[Connection]:
    """A connection on which changes wait for one another; the tables are there, or are made.

    Raises JobError if there is no such server, or the user may not create tables.
    """
    with connected(dsn) as connection:
        try:
            prepare(connection)
        except psycopg.Error as error:
            raise JobError(
                f"PostgreSQL: schema {SCHEMA} cannot be made ready, and nothing was changed: "
                f"{sentence(error)}."
            ) from None
        yield connection


LIBPQ_ASKS = "Is the server running on that host and accepting TCP/IP connections?"


def sentence(error: psycopg.Error) -> str:
    """What the server or libpq said, in one line."""
    said = " ".join(str(error).split()).removesuffix(LIBPQ_ASKS)
    return said.rstrip(". ")


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
    fields = {c: names_of(k).postgresql for c, k in columns_of(PUBLISHED[name][0]).items()}
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
