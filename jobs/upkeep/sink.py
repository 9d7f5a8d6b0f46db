"""Copy the published tables to where conf names a copy, as publish does after its commits.

    nightreel sink                      after a restore, or if a server failed
    nightreel sink --ds 2026-11-23      PostgreSQL: this date, not that of the newest run

PostgreSQL (`publish.postgresql`) gets a date's rows and keeps its others; an object store
(`publish.object_store`) gets what it lacks of all tables. Readers there see each before or after.
"""

from __future__ import annotations

from functools import partial

from jobs.runs.command import command_arguments, day, run_command
from jobs.runs.configuration import load_configuration, warehouse_of
from jobs.runs.errors import JobError
from jobs.sinks.sinks import Postgresql, copy_all, renew, sinks_of


def main(argv: list[str] | None = None) -> None:
    """`nightreel sink`."""
    parser = command_arguments(__doc__)
    parser.add_argument(
        "--ds", type=day, help="the date for PostgreSQL (default: that of the newest run)"
    )
    arguments = parser.parse_args(argv)
    warehouse = warehouse_of(arguments)
    conf = load_configuration(warehouse=arguments.warehouse)
    sinks = sinks_of(conf, warehouse)
    if not sinks:
        raise JobError(
            "No PostgreSQL server is named, and no object store. Set NIGHTREEL_POSTGRESQL, or "
            "publish.postgresql in conf, to a connection string such as "
            "postgresql://user@host:5432/database, or publish.object_store in conf to an address "
            "such as s3://bucket/nightreel."
        )
    if arguments.ds and not any(isinstance(sink, Postgresql) for sink in sinks):
        raise JobError("--ds is for PostgreSQL, and no server is named. Leave it out.")
    copy_all({sink.figures: partial(renew, sink) for sink in sinks}, arguments.ds)


if __name__ == "__main__":
    run_command(main)
