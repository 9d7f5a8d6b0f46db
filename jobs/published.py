"""The published tables as DuckDB views, and the questions that several commands ask of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from deltalake import DeltaTable

from jobs.delta import file_paths
from jobs.errors import JobError
from jobs.schemas import PUBLISHED, columns_of
from jobs.versions import tables_at


class LatestRun(NamedTuple):
    """The published run of the newest date: whose ratings, movies and users the tables hold."""

    run_id: str
    ds: date
    release: str
    model_version: str


class Recommendation(NamedTuple):
    """One row of the recommendations of a user, with the movie's genres."""

    rank: int
    movie_id: int
    title: str
    genres: list[str]
    predicted_rating: float
    source: str
    model_version: str
    run_id: str
    ranking_score: float | None
    """What movies are ranked by, where that is not the predicted rating itself."""


def connect(
    warehouse: Path, needed: Iterable[str] = (), at: int | datetime | None = None
) -> duckdb.DuckDBPyConnection:
    """DuckDB with a view of each needed table, else of all there are, each of one version.

    The versions are the current ones, or those `at` a moment or a version of `recommendations`, as
    in `versions.tables_at`. Raises JobError if a needed table, or every table, is missing.
    """
    return connect_to(tables_at(warehouse, needed, at))


def connect_to(tables: dict[str, DeltaTable]) -> duckdb.DuckDBPyConnection:
    """DuckDB with a view of each of these published tables, by name."""
    connection = duckdb.connect()
    # Times are kept in UTC and shown so, whatever the zone of the machine.
    connection.execute("set TimeZone = 'UTC'")
    for name, table in tables.items():
        add_view(connection, name, table)
    return connection


def add_view(
    connection: duckdb.DuckDBPyConnection, name: str, table: DeltaTable, where: str | None = None
) -> None:
    """Show a version of a published table as a view; see `view_of`."""
    view = view_of(table, columns_of(PUBLISHED[name][0]), where)
    connection.execute(f"create view {name} as {view}")


def view_of(
    table: DeltaTable, known: dict[str, str] | None = None, where: str | None = None
) -> str:
    """SQL that selects all rows of a version, in the columns and types of its schema.

    Columns of `known`, by name and type, that the version does not have yet are null. With `where`,
    a condition on columns in SQL, files that the log knows to hold no such row are left out: of the
    others, rows that do not meet it may still come.
    """
    fields = [(field.name, sql_type(field.type)) for field in table.schema().fields]
    known = known or {}
    later = {name: kind for name, kind in known.items() if name not in dict(fields)}
    paths = file_paths(table, where)
    if not paths:
        every = [*fields, *later.items()]
        nothing = ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in every)
        return f"select {nothing} where false"
    columns = ", ".join(
        [f'cast("{name}" as {kind}) as "{name}"' for name, kind in fields]
        + [f'cast(null as {kind}) as "{name}"' for name, kind in later.items()]
    )
    files = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    # Without types DuckDB would take a run named 2026 for a number. Files that were published
    # before a column was added lack it: union_by_name gives nulls.
    partitions = table.metadata().partition_columns
    types = ", ".join(f"'{name}': {kind}" for name, kind in fields if name in partitions)
    hive = f", hive_types = {{{types}}}" if types else ""
    return (
        f"select {columns} from read_parquet([{files}], union_by_name = true, "
        f"hive_partitioning = {bool(types)}{hive})"
    )


def sql_type(kind: Any) -> str:
    """A Delta type in DuckDB's SQL, which knows Delta's names of the simple ones."""
    return f"{sql_type(kind.element_type)}[]" if kind.type == "array" else kind.type


def latest_run(connection: duckdb.DuckDBPyConnection) -> LatestRun:
    """The newest row of `runs`, by date; of one date, the one that finished last.

    Raises JobError if no run has published everything yet.
    """
    row = connection.execute(
        # Of a run that scored some users again, the tables hold next to nothing.
        "select run_id, ds, release, model_version from runs where users_scored is null "
        "order by ds desc, finished_at desc limit 1"
    ).fetchone()
    if row is None:
        raise JobError("No run has been published to the end yet. Make one with: make nightly")
    return LatestRun(*row)


def require_user(connection: duckdb.DuckDBPyConnection, user_id: int) -> None:
    """Raises JobError, saying which ids there are, if the release has no such user."""
    if not connection.execute("from users where user_id = ?", [user_id]).fetchone():
        raise unknown(connection, "user", user_id)


def require_movie(connection: duckdb.DuckDBPyConnection, movie_id: int) -> str:
    """The movie's title. Raises JobError, saying how to find one, if there is no such movie."""
    query = "select title from movies where movie_id = ?"
    row = connection.execute(query, [movie_id]).fetchone()
    if row is None:
        raise unknown(connection, "movie", movie_id)
    return row[0]


def unknown(connection: duckdb.DuckDBPyConnection, entity: str, found: int) -> JobError:
    query = f"select count(*), min({entity}_id), max({entity}_id) from {entity}s"
    [(count, first, last)] = connection.execute(query).fetchall()
    release = latest_run(connection).release
    search = "nightreel sql \"from movies where title ilike '%matrix%'\""
    return JobError(
        f"There is no {entity} {found} in release {release}: "
        f"the ids of its {count:,} {entity}s run from {first} to {last}."
        + (f" Search by title: {search}" if entity == "movie" else "")
    )


def recommended(
    connection: duckdb.DuckDBPyConnection, user_id: int, ds: date, top: int
) -> list[Recommendation]:
    """A user's first `top` recommendations of a date; fewer, or none, if no more are published."""
    rows = connection.execute(
        """
        select r.rank, r.movie_id, r.title, genres, r.predicted_rating, r.source, r.model_version,
            r.run_id, if(damping > 0, r.ranking_score, null)
        from recommendations r
        left join runs using (run_id)
        -- Movies are those of the release published last: another's have other ids.
        left join movies m on m.movie_id = r.movie_id and release = ?
        where r.ds = ? and r.user_id = ? and r.rank <= ? order by r.rank
        """,
        [latest_run(connection).release, ds, user_id, top],
    )
    return [Recommendation(*row) for row in rows.fetchall()]
