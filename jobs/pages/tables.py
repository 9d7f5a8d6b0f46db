"""The tables that both pages read, and the sizes that both start from."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import duckdb
from duckdb import DuckDBPyConnection

from jobs.engines.duck import open_tables, quoted
from jobs.pages.page import share
from jobs.runs import schemas
from jobs.runs.run import Run

# What sorting needs beyond this goes to the run's scratch.
MEMORY = "4GB"


def clean_tables(run: Run) -> duckdb.DuckDBPyConnection:
    """Views of a run's clean tables, and what all questions about counts and means start from.

    `user_counts`, `movie_counts`: number and sum of the ratings of every user and movie, of those
    without any too. Raises JobError, naming the folder, if the run has no such tables.
    """
    connection = open_tables({name: run.data(name) for name in schemas.DELIVERED})
    connection.execute(f"set memory_limit = '{MEMORY}'")
    connection.execute(f"set temp_directory = {quoted(str(run.staging / 'duckdb'))}")
    # It would draw over what the step prints.
    connection.execute("set enable_progress_bar = false")
    for entity in ("user", "movie"):
        connection.execute(f"""
            create temp table {entity}_counts as
            with counted as (
                select {entity}_id, count(*) ratings, sum(rating::double) total
                from ratings group by {entity}_id
            )
            select {entity}_id, coalesce(ratings, 0) ratings, coalesce(total, 0) total
            from counted full join (select {entity}_id from {entity}s) using ({entity}_id)
            order by {entity}_id
            """)
    return connection


class Overall(NamedTuple):
    """The size of the clean tables."""

    ratings: int
    users: int
    movies: int
    rated_movies: int
    raters: int
    mean: float
    first: datetime | None
    """When the first rating with a time was given; None if no rating has one."""
    last: datetime | None
    timed: int
    """Ratings with a time."""

    @property
    def density(self) -> str:
        """Which share of the possible ratings there is, among users and movies with any."""
        return share(self.ratings, self.raters * self.rated_movies)


def overall(connection: DuckDBPyConnection) -> Overall:
    """Count the rows of the clean tables."""
    row = connection.execute("""
        select (select sum(ratings)::bigint from movie_counts), (select count(*) from users),
            (select count(*) from movies), (select count(*) from movie_counts where ratings > 0),
            (select count(*) from user_counts where ratings > 0),
            (select sum(total) / sum(ratings) from movie_counts), *
        from (select min(rated_at), max(rated_at), count(rated_at) from ratings)
        """).fetchone()
    assert row is not None
    return Overall(*row)


def has_details(connection: DuckDBPyConnection) -> bool:
    """Whether the release says anything about its users."""
    query = "select 1 from users where coalesce(gender, age::text, occupation) is not null limit 1"
    return connection.execute(query).fetchone() is not None
