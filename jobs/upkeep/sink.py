"""Copy the published tables to where conf names a copy, as publish does after its commits.

    nightreel sink                      after a restore, or if a server failed
    nightreel sink --ds 2026-11-23      PostgreSQL: this date, not that of the newest run

PostgreSQL (`publish.postgresql`) gets a date's rows and keeps its others; an object store
(`publish.object_store`) gets what it lacks of all tables. Readers there see each before or after.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

from jobs.published.runs_table import latest_run
from jobs.published.views import connect
from jobs.runs.command import command_arguments, day, run_command
from jobs.runs.configuration import load_configuration, postgresql_dsn, warehouse_of
from jobs.runs.errors import JobError
from jobs.sinks.postgresql import connection_to
from jobs.sinks.postgresql_dates import load
from jobs.sinks.remote_tables import copy_tables, prepare
from jobs.sinks.sinks import make_all


def to_postgresql(dsn: str, warehouse: Path, ds: date | None) -> None:
    """Copy a date; None: that of the newest run."""
    ds = ds or latest_run(connect(warehouse, ("runs",))).ds
    with connection_to(dsn) as connection:
        print(f"PostgreSQL: {load(connection, warehouse, ds):,} recommendations of {ds}")


def to_store(uri: str, warehouse: Path) -> None:
    """Copy what the store lacks."""
    prepare(warehouse, uri)
    done = copy_tables(warehouse, uri)
    print(f"Object store: {done['files']} files, {done['bytes'] / 1e6:.1f} MB uploaded")


def main(argv: list[str] | None = None) -> None:
    """`nightreel sink`."""
    parser = command_arguments(__doc__)
    parser.add_argument(
        "--ds", type=day, help="the date for PostgreSQL (default: that of the newest run)"
    )
    arguments = parser.parse_args(argv)
    warehouse = warehouse_of(arguments)
    conf = load_configuration(warehouse=arguments.warehouse)
    dsn, store = postgresql_dsn(conf), conf.publish.object_store
    if not dsn and not store:
        raise JobError(
            "No PostgreSQL server is named, and no object store. Set NIGHTREEL_POSTGRESQL, or "
            "publish.postgresql in conf, to a connection string such as "
            "postgresql://user@host:5432/database, or publish.object_store in conf to an address "
            "such as s3://bucket/nightreel."
        )
    if arguments.ds and not dsn:
        raise JobError("--ds is for PostgreSQL, and no server is named. Leave it out.")
    copies: dict[str, Callable[[], None]] = {}
    if dsn:
        copies["postgresql"] = partial(to_postgresql, dsn, warehouse, arguments.ds)
    if store:
        copies["object_store"] = partial(to_store, store, warehouse)
    make_all(copies)


if __name__ == "__main__":
    run_command(main)
