"""The copies of the published tables that conf names: in PostgreSQL, and in an object store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from jobs.runs.configuration import postgresql_dsn
from jobs.runs.errors import JobError
from jobs.runs.settings import Configuration
from jobs.sinks.postgresql import connected, connection_to
from jobs.sinks.postgresql_dates import load
from jobs.sinks.remote_tables import copy_tables, prepare


def require_places(conf: Configuration, warehouse: Path) -> None:
    """Raises JobError if the server or the store cannot be used."""
    if dsn := postgresql_dsn(conf):
        connected(dsn).close()
    if store := conf.publish.object_store:
        prepare(warehouse, store)


@contextmanager
def open_copies(conf: Configuration, warehouse: Path) -> Iterator[Callable[[date], dict[str, Any]]]:
    """Yield what copies a date, once it is published; it returns the figures of each copy.

    Until then, nobody else loads into the server. Raises JobError if it cannot be used; of the
    store, `require_places` tells.
    """
    dsn, store = postgresql_dsn(conf), conf.publish.object_store
    copies: dict[str, Callable[[date], Any]] = {}
    with ExitStack() as open_until_copied:
        if dsn:
            server = open_until_copied.enter_context(connection_to(dsn))

            def to_postgresql(ds: date) -> int:
                # Closed then, so that others may load while objects are uploaded.
                with server:
                    return load(server, warehouse, ds)

            copies["rows_in_postgresql"] = to_postgresql
        if store:
            copies["object_store"] = lambda _: copy_tables(warehouse, store)

        yield lambda ds: make_all({name: partial(copy, ds) for name, copy in copies.items()})


def make_all(copies: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each returns, by name; each is made, whether or not another one fails.

    Raises JobError with what those that failed said.
    """
    done, failures = {}, []
    for name, copy in copies.items():
        try:
            done[name] = copy()
        except JobError as error:
            failures.append(str(error))
    if failures:
        raise JobError("\n".join(failures))
    return done
