"""Dates that leave `recommendations`, also a challenger's, and `similar_movies`, by keep_dates.

Each Delta table loses all of them in one commit, before which they can still be read and restored
until their files go; `recommendations` last, by which dates are known. PostgreSQL follows; an
attempt that is killed in between is completed by the next one. The rows of their runs in `runs`
stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from deltalake.transaction import CommitProperties
from psycopg import Connection

from jobs.engines.postgresql_connection import connected
from jobs.published.delta import is_published, open_table
from jobs.published.log import NO_CHECKPOINT, committing, sync_commit
from jobs.published.runs_table import newest_date
from jobs.published.whole import decide
from jobs.runs.configuration import postgresql_dsn
from jobs.runs.schemas import BY_DATE
from jobs.runs.settings.whole import Configuration
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import connection_to
from jobs.sinks.postgresql_dates import dates_in, drop_dates


@dataclass(frozen=True)
class OldDates:
    """The dates to remove, ascending."""

    delta: list[date] = field(default_factory=list)
    postgresql: list[date] = field(default_factory=list)


def is_old(warehouse: Warehouse, keep: int) -> Callable[[date], bool]:
    """Says of a date whether it is to go: neither of the newest `keep`, nor that of the newest run.

    While the Delta table has fewer dates than that, none is, wherever else there may be more.
    """
    dates = dates_of(warehouse)
    oldest = dates[-keep] if len(dates) >= keep else date.min
    newest_run = newest_date(warehouse)
    return lambda ds: ds < oldest and ds != newest_run


def dates_of(warehouse: Warehouse) -> list[date]:
    """The dates of the current version of the table, ascending."""
    if not is_published(warehouse, "recommendations"):
        return []
    partitions = open_table(warehouse, "recommendations").partitions()
    return sorted(date.fromisoformat(partition["ds"]) for partition in partitions)


@contextmanager
def second_sink(conf: Configuration, dry_run: bool) -> Iterator[Connection | None]:
    """The PostgreSQL server of the settings, where nothing is made by a dry run; None: none."""
    dsn = postgresql_dsn(conf)
    if dsn is None or conf.publish.keep_dates is None:
        yield None
    else:
        with connected(dsn) if dry_run else connection_to(dsn) as connection:
            yield connection


def find_old_dates(warehouse: Warehouse, keep: int | None, server: Connection | None) -> OldDates:
    """What is to go if so many dates stay; None: nothing."""
    if keep is None:
        return OldDates()
    old = is_old(warehouse, keep)
    return OldDates(
        list(filter(old, dates_of(warehouse))),
        list(filter(old, dates_in(server))) if server else [],
    )


def remove_from_delta(warehouse: Warehouse, old: OldDates) -> None:
    """Take the dates out of the Delta tables; the caller holds the lock of publish."""
    if old.delta:
        listed = ", ".join(f"'{ds}'" for ds in old.delta)
        told = CommitProperties(custom_metadata={"removed_dates": listed})
        # Partitions alone are looked at: no file is read or written.
        for name in filter(lambda name: is_published(warehouse, name), BY_DATE):
            table = open_table(warehouse, name)
            with committing(warehouse.table(name)):
                table.delete(
                    f"ds in ({listed})",
                    commit_properties=told,
                    post_commithook_properties=NO_CHECKPOINT,
                )
            sync_commit(warehouse.table(name), table.version())
        decide(warehouse)


def remove_from_postgresql(server: Connection | None, old: OldDates) -> None:
    """Then out of PostgreSQL, which may have to wait for a reader to end."""
    if server and old.postgresql:
        drop_dates(server, old.postgresql)
