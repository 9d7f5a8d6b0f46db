"""Copy what the Delta tables hold of a date into PostgreSQL, as publish does after its commits.

    nightreel sink                      the date of the newest run
    nightreel sink --ds 2026-11-23      after a restore, or for dates from before there was a sink

Readers see the date's rows before or after; other dates stay.
"""

from __future__ import annotations

from jobs.arguments import command_arguments, day, warehouse_of
from jobs.command import run_command
from jobs.configuration import load_configuration, postgresql_dsn
from jobs.errors import JobError
from jobs.postgresql import connection_to
from jobs.postgresql_dates import load
from jobs.published import connect, latest_run


def main(argv: list[str] | None = None) -> None:
    """`nightreel sink`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--ds", type=day, help="the date (default: that of the newest run)")
    arguments = parser.parse_args(argv)
    warehouse = warehouse_of(arguments)
    dsn = postgresql_dsn(load_configuration(warehouse=arguments.warehouse))
    if dsn is None:
        raise JobError(
            "No PostgreSQL server is named. Set NIGHTREEL_POSTGRESQL, or publish.postgresql in "
            "conf, to a connection string such as postgresql://user@host:5432/database."
        )
    ds = arguments.ds or latest_run(connect(warehouse, ("runs",))).ds
    with connection_to(dsn) as connection:
        print(f"PostgreSQL: {load(connection, warehouse, ds):,} recommendations of {ds}")


if __name__ == "__main__":
    run_command(main)
