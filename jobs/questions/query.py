"""Answers from the published tables: a user's recommendations, or any SQL.

    nightreel recommend --user 2000
    nightreel sql "select * from recommendations where user_id = 2000"

Tables are read by DuckDB in this process, each at the version that is current when the command
starts, or at an earlier one; no Spark and no model is loaded.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from datetime import date
from tempfile import TemporaryDirectory

import duckdb

from jobs.engines.duck import confine
from jobs.engines.terminal import show_rows
from jobs.published.delta import file_paths
from jobs.published.runs_table import latest_run
from jobs.published.versions import tables_at
from jobs.published.views import add_version, connect_to
from jobs.questions.recommendations import (
    number_on,
    own_number,
    recommended,
    require_user,
    show_recommendations,
)
from jobs.runs.command import command_arguments, day, positive, source_id, version_or_moment
from jobs.runs.configuration import warehouse_of
from jobs.runs.errors import JobError
from jobs.runs.text import visible

RECOMMEND_HELP = """Show the movies that a user is recommended, best first.

    nightreel recommend --user 2000
    nightreel recommend --user 2000 --top 5
    nightreel recommend --user 2000 --ds 2026-11-23     those of an earlier date
    nightreel recommend --user 2000 --at 12             as version 12 of the table held them
    nightreel recommend --user 2000 --at 2026-11-23T09:00

Versions: nightreel history
"""

SQL_HELP = """Query the published tables with DuckDB's SQL.

    nightreel sql "show tables"
    nightreel sql "describe recommendations"
    nightreel sql "select title, count(*) as users from recommendations group by title
                   order by users desc"
    nightreel sql --csv "from runs" > runs.csv
    nightreel sql --at 2026-11-23 "select count(*) from recommendations"

Files that are no published table are neither read nor written.

With --at, each table is read as it was at that time (in UTC; a date stands for its end), or, given
a number, as the publish that made that version of recommendations left it: nightreel history.

Tables: recommendations (one row per date, user and rank), movies, users, ratings, quarantine (the
lines that could not be used, and why), quality (what each rule found in a run's data), metrics (how
good lists and predictions were), similar_movies, comparisons (of models), replays (of the past) and
runs (one row per run). Their columns: docs/tables.md. Rows that are too wide for the terminal are
shown one below the other.
"""

# PIVOT is several statements to DuckDB.
READING = {"SELECT", "EXPLAIN", "CALL", "PRAGMA", "MULTI"}
NUMBERS = {"INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"}


def recommend(argv: list[str] | None = None) -> None:
    """`nightreel recommend`."""
    parser = command_arguments(RECOMMEND_HELP)
    parser.add_argument("--user", type=source_id, required=True, help="the user's id")
    parser.add_argument("--top", type=positive, default=20, help="how many movies (default: 20)")
    parser.add_argument("--ds", type=day, help="the date (default: that of the newest run)")
    add_at(parser)
    arguments = parser.parse_args(argv)
    needed = ("movies", "users", "runs", "recommendations")
    tables = tables_at(warehouse_of(arguments), needed, arguments.at)
    published = tables.pop("recommendations")
    connection = connect_to(tables)
    latest = latest_run(connection)
    ds, user = arguments.ds or latest.ds, arguments.user
    own = own_number(user)
    # Of thousands of files, those with rows of this user: one a date. Of a text, those of the date.
    of_user = "" if own is None else f" and user_id = {own}"
    add_version(connection, "recommendations", published, f"ds = '{ds}'{of_user}")
    user_id = number_on(connection, ds, user)
    rows = [] if user_id is None else recommended(connection, user_id, ds, arguments.top)
    if not rows:
        dates = {partition["ds"] for partition in published.partitions()}
        raise no_rows(connection, user, ds, sorted(dates, reverse=True))
    title = f"Recommendations for user {user} of {ds}, {rows[0].made_by}"
    show_recommendations(title, rows)
    if len(rows) < arguments.top:
        print(
            f"{len(rows)} of {arguments.top}: no more are published for this user. "
            "A run publishes score.top_k movies per user, if the user has that many left to see."
        )


def add_at(parser: argparse.ArgumentParser) -> None:
    """The argument that goes back in time."""
    parser.add_argument(
        "--at",
        type=version_or_moment,
        metavar="VERSION|TIME",
        help="as published then: a version of recommendations, or a time as 2026-11-23T02:00 (UTC)",
    )


def no_rows(
    connection: duckdb.DuckDBPyConnection, user: str, ds: date, published: list[str]
) -> JobError:
    """Why a user has no recommendations of a date; `published` are the dates, newest first."""
    require_user(connection, user)
    if ds.isoformat() in published:
        return JobError(
            f"User {user} has no recommendations of {ds}: either the user has rated every "
            "movie, or was not there yet."
        )
    shown = ", ".join(published[:10]) + (", ..." if len(published) > 10 else "")
    return JobError(f"Nothing is published for {ds}. Published dates: {shown}.")


def sql(argv: list[str] | None = None) -> None:
    """`nightreel sql`."""
    parser = command_arguments(SQL_HELP)
    parser.add_argument("query", help="one statement, in quotes")
    parser.add_argument("--csv", action="store_true", help="write CSV instead of a table")
    parser.add_argument("--limit", type=positive, help="most rows (default: 100, with --csv all)")
    add_at(parser)
    arguments = parser.parse_args(argv)
    tables = tables_at(warehouse_of(arguments), (), arguments.at)
    with connect_to(tables) as connection, TemporaryDirectory(prefix="nightreel-sql-") as scratch:
        confine(
            connection, [path for table in tables.values() for path in file_paths(table)], scratch
        )
        try:
            answer(connection, arguments.query, arguments.csv, arguments.limit)
        except duckdb.CatalogException as error:
            raise JobError(f"{error}\nTables: {', '.join(sorted(tables))}") from None
        except duckdb.PermissionException as error:
            raise JobError(f"{error}\nOnly the published tables are read here.") from None
        except duckdb.Error as error:
            raise JobError(str(error)) from None


def one_that_reads(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The query, if it is one statement that returns rows. Raises JobError if it is not."""
    statements = connection.extract_statements(query)
    kinds = [statement.type.name for statement in statements]
    if len(kinds) == 1 and kinds[0] in READING:
        # EXPLAIN ANALYZE does what it explains, and DuckDB lets COPY write whatever it may read.
        if not is_copy(query):
            return statements[0].query.rstrip("; \n")
        kinds = ["COPY"]
    found = f"{len(kinds)} statements" if len(kinds) > 1 else (kinds or ["nothing"])[0]
    raise JobError(
        f"Expected one statement that returns rows, as select does; found {found}. Tables are "
        "changed by runs alone, and --csv writes an answer to a file: nightreel sql --help"
    )


def is_copy(query: str) -> bool:
    """Whether a statement copies, or explains one that does; a column of that name needs quotes."""
    text = query.encode()
    keywords = (at for at, kind in duckdb.tokenize(query) if kind == duckdb.token_type.keyword)
    return any(text[at : at + 4].lower() == b"copy" for at in keywords)


def answer(
    connection: duckdb.DuckDBPyConnection, query: str, as_csv: bool, limit: int | None
) -> None:
    """Print what a statement returns, as CSV or as a table."""
    result = connection.sql(one_that_reads(connection, query))
    # DuckDB writes a value of any type as text.
    text = result.project("columns(*)::varchar")
    if as_csv:
        rows = text.limit(limit) if limit else text
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        # A file holds what the tables hold; a terminal would obey it.
        cells = visible_cells if sys.stdout.isatty() else tuple
        writer.writerows(map(cells, rows.iter_rows(10_000)))
        return
    limit = limit or 100
    shown = text.limit(limit + 1).fetchall()
    kinds = zip(result.columns, result.types, strict=True)
    numbers = {name for name, kind in kinds if str(kind).partition("(")[0] in NUMBERS}
    show_rows(result.columns, shown[:limit], numbers)
    if len(shown) > limit:
        print(f"Only the first {limit} rows are shown: --limit shows more, --csv writes all.")


def visible_cells(row: Sequence[str | None]) -> tuple[str | None, ...]:
    """A row of CSV for a terminal."""
    return tuple(cell if cell is None else visible(cell) for cell in row)
