"""The copies of the published tables that conf names: in PostgreSQL, and in an object store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from jobs.engines.postgresql_connection import connected
from jobs.published.runs_table import latest_run
from jobs.published.views import connect
from jobs.runs.configuration import postgresql_dsn
from jobs.runs.errors import JobError
from jobs.runs.settings.whole import Configuration
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import connection_to, require_usable
from jobs.sinks.postgresql_dates import load
from jobs.sinks.remote_tables import copy_tables, prepare

Copy = Callable[[date | None], Any]
"""Copies a date, or that of the newest run, once it is published; returns the copy's figures."""


@dataclass(frozen=True)
class Postgresql:
    """A server that gets the rows of a date, and keeps those of its others."""

    dsn: str = field(repr=False)
    """It may hold a password."""
    warehouse: Warehouse
    figures: ClassVar[str] = "rows_in_postgresql"
    """What a run's record calls them: the rows of the date."""

    def require(self) -> None:
        """Raises JobError if the server cannot be reached."""
        connected(self.dsn).close()

    @contextmanager
    def opened(self) -> Iterator[Copy]:
        """Yield what copies. Raises JobError if the server cannot be used.

        No connection stays open, nor another load locked out, while tables are committed here.
        """
        require_usable(self.dsn)
        yield self.copy

    def copy(self, ds: date | None) -> int:
        """Load a date; returns its rows. Nobody else loads into the server meanwhile."""
        with connection_to(self.dsn) as server:
            ds = ds or latest_run(connect(self.warehouse, ("runs",))).ds
            rows = load(server, self.warehouse, ds)
        print(f"PostgreSQL: {rows:,} recommendations of {ds}", flush=True)
        return rows


@dataclass(frozen=True)
class ObjectStore:
    """A store that gets what it lacks of all tables, of whatever date."""

    uri: str
    warehouse: Warehouse
    figures: ClassVar[str] = "object_store"
    """What a run's record calls them: the files and bytes uploaded."""

    def require(self) -> None:
        """Raises JobError if the store cannot be written, or holds another warehouse's tables."""
        prepare(self.warehouse, self.uri)

    @contextmanager
    def opened(self) -> Iterator[Copy]:
        """Yield what copies; of whether the store can be used, `require` tells."""
        yield self.copy

    def copy(self, ds: date | None) -> dict[str, int]:
        """Upload what the store lacks; returns files and bytes."""
        done = copy_tables(self.warehouse, self.uri)
        print(
            f"Object store: {done['files']} files, {done['bytes'] / 1e6:.1f} MB uploaded",
            flush=True,
        )
        return done


Sink = Postgresql | ObjectStore


def sinks_of(conf: Configuration, warehouse: Warehouse) -> list[Sink]:
    """Those that the settings name."""
    dsn, store = postgresql_dsn(conf), conf.publish.object_store
    sinks: list[Sink] = [Postgresql(dsn, warehouse)] if dsn else []
    return [*sinks, ObjectStore(store, warehouse)] if store else sinks


def renew(sink: Sink, ds: date | None) -> None:
    """Copy without a run that publishes. Raises JobError if the sink cannot be used."""
    sink.require()
    with sink.opened() as copy:
        copy(ds)


def copy_all(copies: Mapping[str, Copy], ds: date | None) -> dict[str, Any]:
    """What each returns, by name; each is made, whether or not another one fails.

    Raises JobError with what those that failed said.
    """
    done, failures = {}, []
    for name, copy in copies.items():
        try:
            done[name] = copy(ds)
        except JobError as error:
            failures.append(str(error))
    if failures:
        raise JobError("\n".join(failures))
    return done
