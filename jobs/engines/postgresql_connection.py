"""Connections to a PostgreSQL server that end when it, or the way to it, no longer answers.

A lost peer is noticed by TCP, here and in the server, so that its locks do not outlive it; a server
that hangs while its machine is well, by the limits of statements and of silence.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import psycopg
from psycopg import Connection

from jobs.runs.errors import JobError
from jobs.runs.holders import command

DEFAULTS: dict[str, int | str] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Of libpq, unless the connection string says otherwise; in seconds, the last in milliseconds."""
STATEMENT_TIMEOUT = 600
"""Seconds that the server works at one statement; rows come in one for each file."""
SILENCE = STATEMENT_TIMEOUT + 60.0
"""Seconds for which the server may neither take nor send anything while it is waited for."""
LIBPQ_ASKS = "Is the server running on that host and accepting TCP/IP connections?"


class Patient(Connection):
    """A connection that is given up after SILENCE."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's, which has no limit of its own."""
        try:
            return super().wait(gen, interval, SILENCE if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            if timeout is None:
                # No goodbye: the server would not hear it.
                self.pgconn.finish()
                raise psycopg.OperationalError(
                    f"the server has not answered for {SILENCE:.0f} seconds"
                ) from None
            raise


def connected(
    dsn: str, named: str = "NIGHTREEL_POSTGRESQL, or publish.postgresql in conf,"
) -> Connection:
    """A connection, on which nothing has been changed yet; `named` is where the string comes from.

    `dsn` is a connection string of libpq, which takes what it does not say from its own variables
    and ~/.pgpass. Raises JobError if there is no such server.
    """
    try:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # Its own message repeats the string, and with it a password.
        raise JobError(
            f"PostgreSQL: {named} is no connection string. Expected "
            "postgresql://user@host:5432/database."
        ) from None
    defaults: dict[str, Any] = {key: DEFAULTS[key] for key in DEFAULTS.keys() - given.keys()}
    # Others who wait are told this name, of which the server keeps 63 bytes.
    name = f"nightreel process {os.getpid()} on {socket.gethostname()} ({command()})"
    try:
        connection = Patient.connect(
            dsn, autocommit=True, application_name=name[:63], client_encoding="utf8", **defaults
        )
        connection.execute(f"set statement_timeout = '{STATEMENT_TIMEOUT}s'")
        # The same for the server, if it is we who are lost.
        connection.execute("set tcp_keepalives_idle = 30")
        connection.execute("set tcp_keepalives_interval = 10")
        connection.execute("set tcp_keepalives_count = 3")
        if connection.info.server_version >= 140000:
            connection.execute(f"set idle_session_timeout = '{STATEMENT_TIMEOUT}s'")
    except psycopg.Error as error:
        raise JobError(
            f"PostgreSQL cannot be reached, and nothing was changed: {sentence(error)}. Look at "
            f"{named} and at the server."
        ) from None
    return connection


def sentence(error: psycopg.Error) -> str:
    """What the server or libpq said, in one line."""
    said = " ".join(str(error).split()).removesuffix(LIBPQ_ASKS)
    return said.rstrip(". ")
