"""What is recommended: how much of the catalogue, and how much of it is popular anyway."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from duckdb import DuckDBPyConnection

from jobs.engines.duck import add_view, duckdb_columns, no_rows
from jobs.pages.activity import Counts
from jobs.pages.page import Part, Plot, Section, Table, Text, count, number, share
from jobs.pages.plots import columns, gini, held_by_top, lorenz
from jobs.runs import schemas
from jobs.runs.run import Run

# Recommendations below this rank are looked at by nobody.
TOP = 20
NAME = "tenth of the movies, the most rated first"
TENTHS = [str(tenth) for tenth in range(1, 11)]


class Recommended(NamedTuple):
    """The size of what was scored, ranks up to TOP."""

    rows: int
    users: int
    movies: int
    """Different movies."""
    popular: int
    """Rows that rest on popularity, not on the model, because nothing is known of the user."""


def add_scored(
    connection: DuckDBPyConnection, run: Run, name: str = "scored", output: str = "scored"
) -> None:
    """A view of a run's recommendations up to rank TOP; columns added later are null."""
    ddl, partition_by = schemas.PUBLISHED["recommendations"]
    add_view(connection, f"all_{name}", run.output(output), ddl, partition_by)
    rows = f"from all_{name} where rank <= {TOP} union all by name {no_rows(duckdb_columns(ddl))}"
    connection.execute(f"create view {name} as {rows}")


def recommended(connection: DuckDBPyConnection) -> Recommended:
    """Count what was scored."""
    row = connection.execute("""
        select count(*), count(distinct user_id), count(distinct movie_id),
            count_if(source = 'popular') from scored
        """).fetchone()
    assert row is not None
    return Recommended(*row)


def coverage(connection: DuckDBPyConnection, sizes: Recommended) -> Section:
    """Coverage of the catalogue, concentration, and the movies recommended most."""
    if not sizes.rows:
        return Section("Recommendations", [Text("No user has a movie left to recommend.")])
    # Movies from the most rated to the least, of equally often rated ones the smallest id first.
    found = connection.execute("""
        with counted as (select movie_id, count(*) n from scored group by 1)
        select ratings, coalesce(n, 0) recommended
        from movie_counts left join counted using (movie_id) order by ratings desc, movie_id
        """).fetchnumpy()
    ratings, shown = np.asarray(found["ratings"]), np.asarray(found["recommended"])
    told = (
        f"{count(sizes.rows, 'recommendation')} for {count(sizes.users, 'user')}, up to rank "
        f"{TOP}. They name {number(sizes.movies)} of {number(len(shown))} movies, "
        f"{share(sizes.movies, len(shown))} of the catalogue."
    )
    if sizes.popular:
        told += (
            f" {share(sizes.popular, sizes.rows)} of the recommendations rest on popularity, for "
            "users about whom the model knows nothing."
        )
    parts: list[Part] = [Text(told), *popularity(ratings, shown), most_recommended(connection)]
    return Section("Recommendations", parts)


def popularity(ratings: Counts, shown: Counts) -> list[Plot]:
    """How recommendations spread over movies, which are given from the most rated on."""
    tenths = [int(part.sum()) for part in np.array_split(shown, 10)]
    first = int(np.ceil(len(shown) / 10))
    of_ratings = share(int(ratings[:first].sum()), int(ratings.sum()))
    in_top = share(int(shown[:first].sum()), int(shown.sum()))
    texts = [number(100 * part / int(shown.sum()), 1) for part in tenths]
    ascending = {"recommendations": np.sort(shown), "ratings": np.sort(ratings)}
    return [
        Plot(
            columns(TENTHS, tenths, texts, NAME),
            f"{in_top} of the recommendations name movies among the 10% rated most, which have "
            f"{of_ratings} of the ratings. Above the bars: percent of the recommendations.",
            "Bar chart: share of recommendations by tenth of movies, the most rated first. "
            + ", ".join(map(": ".join, zip(TENTHS, texts, strict=True))),
        ),
        Plot(
            lorenz(ascending, "movies, the rarest first", "of recommendations or ratings"),
            f"The Gini coefficient is {gini(ascending['recommendations']):.2f} for recommendations "
            f"and {gini(ascending['ratings']):.2f} for ratings; the most recommended 10% of "
            f"movies hold {share(held_by_top(ascending['recommendations']), int(shown.sum()))} of "
            "all recommendations.",
            "Lorenz curves of recommendations and ratings over movies.",
        ),
    ]


def most_recommended(connection: DuckDBPyConnection) -> Table:
    """The movies recommended to most users."""
    rows = connection.execute("""
        select title, coalesce(array_to_string(genres, ', '), ''), ratings, n, users
        from (select movie_id, count(*) n from scored group by 1)
        join movies using (movie_id) join movie_counts using (movie_id),
            (select count(distinct user_id) users from scored)
        order by n desc, movie_id limit 10
        """).fetchall()
    return Table(
        "Recommended to most users",
        ["Movie", "Genres", "Ratings", "Users", "Share"],
        [
            (title, genres, number(ratings), number(n), share(n, users))
            for title, genres, ratings, n, users in rows
        ],
        frozenset({"Ratings", "Users", "Share"}),
    )
