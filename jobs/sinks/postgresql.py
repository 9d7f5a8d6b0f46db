"""A PostgreSQL server as a second sink: turns of those who load, and the tables that it has.

In the schema `nightreel`: `recommendations`, partitioned by ds, `movies`, `runs`, and the view
`current`, the recommendations of the newest date. jobs/sinks/postgresql_dates.py fills them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection

from jobs.engines.postgresql_connection import connected, sentence
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED, columns_of, names_of

SCHEMA = "nightreel"
KEYS = {"recommendations": ("ds", "user_id", "rank"), "movies": ("movie_id",), "runs": ("run_id",)}


PATIENCE = 600.0
"""Seconds for which another load is waited for."""
LOCK = "hashtext('nightreel')"


@contextmanager
def connection_to(dsn: str) -> Iterator[Connection]:
    """A connection on which changes wait for one another; the tables are there, or are made.

    Raises JobError if there is no such server, if another load does not end, or the user may not
    create tables.
    """
    with connected(dsn) as connection:
        with in_plain_words():
            wait_for_turn(connection)
            prepare(connection)
        yield connection


def require_usable(dsn: str) -> None:
    """Raises JobError if there is no such server, or the user may not create tables.

    Nobody is waited for: where another loads, there are tables.
    """
    with connected(dsn) as connection, in_plain_words():
        if takes_turn(connection):
            prepare(connection)


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Make a JobError of what the server says before anything was changed."""
    try:
        yield
    except psycopg.Error as error:
        raise JobError(
            f"PostgreSQL: schema {SCHEMA} cannot be made ready, and nothing was changed: "
            f"{sentence(error)}."
        ) from None


def wait_for_turn(connection: Connection) -> None:
    """Have the server's lock, which goes with the connection. Raises JobError after PATIENCE."""
    until, told = time.monotonic() + PATIENCE, ""
    while not takes_turn(connection):
        holder = holder_of_turn(connection)
        if holder and holder != told:
            print(f"PostgreSQL: waiting for another load to end: {holder}", flush=True)
            told = holder
        if time.monotonic() > until:
            raise JobError(
                f"PostgreSQL: another load has not ended for {PATIENCE / 60:g} minutes: {told}. "
                "Nothing was changed there. If it is stuck, end its process, or in the server: "
                "select pg_terminate_backend(<backend>). Then: nightreel sink"
            )
        time.sleep(1)


def takes_turn(connection: Connection) -> bool:
    """Take the server's lock, unless another connection has it; returns whether it did."""
    row = connection.execute(f"select pg_try_advisory_lock({LOCK})").fetchone()
    return row == (True,)


def holder_of_turn(connection: Connection) -> str:
    """Whose connection has the lock, in words; "" if nobody's any more."""
    # Of other users' connections, the server tells their name alone.
    row = connection.execute(
        f"""
        select format(
            'backend %s of user %s, %s, since %s', pid, usename,
            coalesce(nullif(application_name, ''), 'an application without a name'),
            coalesce(to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'), '?')
        )
        from pg_locks join pg_stat_activity using (pid)
        where locktype = 'advisory' and granted and objsubid = 1
        and pg_locks.database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32 | objid::bigint) = {LOCK}::bigint
        """
    ).fetchone()
    return row[0] if row else ""


def prepare(connection: Connection) -> None:
    """Create schema, tables and view; add columns that earlier versions of a schema lacked."""
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
