"""What must hold of a run's clean data before anything is made of it: the rules, with DuckDB's SQL.

Each rule is a figure and a threshold, from the section `quality` of conf where it is a matter of
degree, and shows example rows where it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from jobs.engines.duck import by_source, duckdb_columns
from jobs.release.layouts import Layout
from jobs.runs import schemas
from jobs.runs.settings.cleaning import QualitySettings


@dataclass(frozen=True)
class Finding:
    """What a rule found."""

    rule: str
    figure: float
    threshold: float
    passed: bool
    example: str | None
    """Of rows that break the rule; None if none do."""

    def __str__(self) -> str:
        words = f"{self.rule}: {self.figure:g}, and the threshold is {self.threshold:g}"
        return f"{words}. Examples: {self.example}" if self.example else words


@dataclass(frozen=True)
class Delivered:
    """A run's data, as the rules look at it."""

    tables: duckdb.DuckDBPyConnection
    """With views ratings, movies, users and quarantine."""
    layout: Layout
    rating_range: tuple[float, float]
    """The lowest and the highest rating of the release's scale."""
    etl: dict[str, Any]
    """The figures of the step etl."""
    splits: tuple[str, ...]
    """Those that there must be ratings in."""
    previous_ratings: int | None
    """Ratings of the newest run of the release that is published; None for the first."""


Rule = Callable[[Delivered, QualitySettings], Finding]


def examples(data: Delivered, query: str) -> str | None:
    """The first three rows of a query in words; None if there are none."""
    found = data.tables.sql(query)
    if ids := [name for name in ("user_id", "movie_id") if name in found.columns]:
        found = data.tables.sql(by_source(query, *ids))
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.limit(3).fetchall()]
    return "; ".join(", ".join(f"{k} {v}" for k, v in row.items()) for row in rows) or None


def count(data: Delivered, query: str) -> int:
    [(rows,)] = data.tables.sql(f"select count(*) from ({query})").fetchall()
    return rows


def none_of(data: Delivered, rule: str, query: str) -> Finding:
    """No row may answer the query."""
    rows = count(data, query)
    return Finding(rule, rows, 0, rows == 0, examples(data, query) if rows else None)


def at_most(data: Delivered, rule: str, rows: int, of: int, share: float, query: str) -> Finding:
    """At most such a share of so many rows may break the rule; `query` shows examples."""
    figure = rows / max(of, 1)
    passed = figure <= share
    return Finding(rule, round(figure, 6), share, passed, None if passed else examples(data, query))


def columns(data: Delivered, _: QualitySettings) -> Finding:
    """The clean tables have the columns and types of their schemas."""
    differing = []
    for table, ddl in schemas.CLEAN.items():
        expected = duckdb_columns(ddl)
        found = {row[0]: row[1] for row in data.tables.sql(f"describe {table}").fetchall()}
        wrong = {name for name, _ in found.items() ^ expected.items()}
        differing += [f"{table}.{name}" for name in sorted(wrong)]
    number = len(differing)
    return Finding("columns that differ", number, 0, not differing, ", ".join(differing) or None)


def scale(data: Delivered, _: QualitySettings) -> Finding:
    """Every rating lies on the release's scale."""
    low, high = data.rating_range
    step = data.layout.rating_step
    in_steps = f" and rating % {step} = 0" if step else ""
    query = (
        "select user_id, movie_id, rating from ratings "
        f"where not (rating between {low} and {high}{in_steps})"
    )
    return none_of(data, "ratings off the scale", query)


def repeated(data: Delivered, _: QualitySettings) -> Finding:
    """A user rates a movie once."""
    query = (
        "select user_id, movie_id, count(*) as ratings from ratings "
        "group by all having count(*) > 1"
    )
    return none_of(data, "users and movies with several ratings", query)


def replaced(data: Delivered, settings: QualitySettings) -> Finding:
    """Few lines repeat a user and a movie: a newer rating replaces the older ones.

    Where no rating is given, people use a thing again.
    """
    lines, duplicates = data.etl["lines"], data.etl["duplicates"]
    nothing = "select null where false"
    share = 1.0 if data.layout.implicit else settings.max_duplicate_share
    return at_most(data, "share of replaced ratings", duplicates, lines, share, nothing)


def quarantined(data: Delivered, settings: QualitySettings) -> Finding:
    """Few lines could not be used."""
    query = quarantined_ratings(data)
    rows = count(data, query)
    share = settings.max_quarantined_share
    return at_most(data, "share of ratings in quarantine", rows, data.etl["lines"], share, query)


def quarantined_ratings(data: Delivered) -> str:
    """The query of all lines of ratings that could not be used."""
    # Whoever delivers names the files.
    files = ", ".join("'" + file.replace("'", "''") + "'" for file in data.layout.ratings.files)
    return f"select file, line, reason, content from quarantine where file in ({files})"


def unknown_movies(data: Delivered, settings: QualitySettings) -> Finding:
    """Few ratings are of movies that the release does not name."""
    query = f"{quarantined_ratings(data)} and reason like 'movie_id % is not in %'"
    rows, share = count(data, query), settings.max_unknown_movie_share
    rule = "share of ratings of unknown movies"
    return at_most(data, rule, rows, data.etl["lines"], share, query)


def unknown_users(data: Delivered, settings: QualitySettings) -> Finding:
    """Where there is a file of users, few ratings are by users whom it does not name."""
    query = "select user_id from ratings join users using (user_id) where gender is null"
    rows = count(data, query) if data.layout.users else 0
    share = settings.max_unknown_user_share
    return at_most(
        data, "share of ratings by unknown users", rows, data.etl["ratings"], share, query
    )


def undated(data: Delivered, settings: QualitySettings) -> Finding:
    """Not too many ratings are without a time, or of the future."""
    query = "select user_id, movie_id from ratings where rated_at is null"
    rows, share = count(data, query), settings.max_undated_share
    return at_most(data, "share of ratings without a time", rows, data.etl["ratings"], share, query)


def empty_splits(data: Delivered, _: QualitySettings) -> Finding:
    """There are ratings to train, validate and, where the split has such, test with."""
    wanted = ", ".join(f"('{split}')" for split in data.splits)
    query = f"select split from (values {wanted}) wanted(split) anti join ratings using (split)"
    return none_of(data, "splits without ratings", query)


def shrunken(data: Delivered, settings: QualitySettings) -> Finding:
    """The delivery has not lost too many ratings since the last one."""
    ratings, least = data.etl["ratings"], settings.min_share_of_previous
    share = ratings / data.previous_ratings if data.previous_ratings else 1.0
    passed = share >= least
    example = None if passed else f"{ratings:,} ratings now, {data.previous_ratings:,} before"
    return Finding("ratings as a share of the last run's", round(share, 6), least, passed, example)


RULES: list[Rule] = [
    columns,
    scale,
    repeated,
    replaced,
    quarantined,
    unknown_movies,
    unknown_users,
    undated,
    empty_splits,
    shrunken,
]


def findings(data: Delivered, settings: QualitySettings) -> Iterator[Finding]:
    """Apply every rule; when the columns differ, the others cannot be."""
    for rule in RULES:
        found = rule(data, settings)
        yield found
        if rule is columns and not found.passed:
            return
