"""What must hold of a run's recommendations before anybody may read them.

A check is a question for DuckDB whose answer is a row that breaks it, or a user of whom it does not
hold; no answer means that it holds. All is worked out from what was written, in DuckDB, while
`score` works with Spark and NumPy: an error in one is not made again by the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb
import numpy as np
from deltalake import DeltaTable
from numpy.typing import NDArray

from jobs.engines.duck import duckdb_columns, no_rows
from jobs.published.versions import versions_at
from jobs.published.views import view_of
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.warehouse import Warehouse

# That the right rows say so, jobs/scoring/folded_check.py looks at.
SOURCES = ("model", "popular", "folded_in", "content")


@dataclass(frozen=True)
class ToPublish:
    """What is about to be published, and what it is checked against."""

    tables: duckdb.DuckDBPyConnection
    """Views: `recommendations`; `ratings`; `movies`; `users`, all who must have rows; and of
    schemas.CANDIDATES, `candidates`: the users who have a list of their own, and its movies; and
    `shown`: what users' lists of score.repeat_after nights before held."""
    ds: date
    top_k: int | None
    """None: every scored pair."""
    movie_ids: NDArray[np.int32]
    """All that could be recommended: what the filters leave and the models know."""
    rating_range: tuple[float, float]
    model_version: str
    """What predicted the ratings."""
    order_version: str | None = None
    """What ordered the movies; None: predicted ratings did."""
    implicit: bool = False
    """Whether there are no ratings to predict."""
    by_score: bool = True
    """Whether lists are in the order of scores, and not chosen for more than these."""
    genre_cap: int | None = None
    """Movies of one genre in a list, at most; None: any number."""
    new_movies: int = 0
    """Places of each list for movies that are new to a model."""
    new_ids: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Those that may have these, none of them among `movie_ids`."""
    variant: str = "champion"
    """Whose rows these are."""


# How many rows each user has, of known movies and of new ones, and how many of those that could be
# recommended, of the user's list if there is one, are left to be so: those that the user has not
# rated, nor was shown of late.
COUNTED = """
    with rows_of as (
        select user_id, count(*) as rows, count_if(is_new) as new_rows
        from recommendations left join allowed using (movie_id) group by user_id),
    spent_of as (
        select user_id, count_if(not is_new) as spent, count_if(is_new) as new_spent
        from spent join allowed using (movie_id) group by user_id),
    listed_of as (
        select user_id, count(distinct movie_id) filter (is_left and not is_new) as listed,
            count(distinct movie_id) filter (is_left and is_new) as new_listed
        from (
            select candidates.*, is_new,
                allowed.movie_id is not null and spent.movie_id is null as is_left
            from candidates left join allowed using (movie_id)
            left join spent using (user_id, movie_id))
        group by user_id)
    select user_id, coalesce(rows, 0) as rows, coalesce(spent, 0) as spent,
        coalesce(listed, $movies - coalesce(spent, 0)) as left_over,
        coalesce(new_rows, 0) as new_rows,
        least($new_movies, coalesce(new_listed, $new - coalesce(new_spent, 0))) as new_left
    from users left join rows_of using (user_id) left join spent_of using (user_id)
        left join listed_of using (user_id)
"""
WANTED_ROWS = "least(left_over + new_left, coalesce($top_k, left_over + new_left))"
OF_GENRES = "(select distinct movie_id, unnest(genres) as genre from movies)"
OVER_CAP = f"""
    select user_id, genre, count(*) as rows from recommendations join {OF_GENRES} using (movie_id)
    group by all having count(*) > $genre_cap
"""
# Of lists with too few rows, a thousand at most: movies that could have come, none of whose genres
# has as many movies there as it may have.
LEFT_OUT = f"""
    with short as (
        select user_id from ({COUNTED}) where rows < {WANTED_ROWS}
        order by hash(user_id) limit 1000),
    full_genres as (
        select user_id, genre from recommendations semi join short using (user_id)
            join {OF_GENRES} using (movie_id)
        group by all having count(*) >= $genre_cap),
    fitting as (
        select user_id, movie_id from short cross join allowed
        anti join recommendations using (user_id, movie_id)
        anti join (
            select user_id, movie_id from full_genres join {OF_GENRES} using (genre)
        ) using (user_id, movie_id))
    select user_id, movie_id from fitting anti join spent using (user_id, movie_id)
    where user_id not in (select user_id from candidates)
        or (user_id, movie_id) in (select (user_id, movie_id) from candidates)
"""
RANKED = """
    select user_id, min(rank) as first, max(rank) as last, count(*) as rows,
        count(distinct rank) as ranks, count(distinct movie_id) as movies
    from recommendations group by user_id
"""
ROWS = "select * from recommendations"
# NaN is above all numbers.
BECAUSE = """
    select shown.user_id, shown.rank, because_movie_id, because_share, source
    from recommendations shown left join ratings on ratings.user_id = shown.user_id
        and ratings.movie_id = because_movie_id
    where (because_movie_id is null) <> (because_share is null)
        or (because_movie_id is not null and (ratings.movie_id is null
            or source in ('popular', 'content') or because_share <= 0 or because_share > 1))
"""
# By what the clean users and movies say.
NAMED = """
    select shown.user_id, shown.movie_id, shown.source_user_id, shown.source_movie_id,
        because_movie_id, source_because_id
    from recommendations shown join users using (user_id) join movies using (movie_id)
        left join movies because on because.movie_id = because_movie_id
    where shown.source_user_id is distinct from users.source_user_id
        or shown.source_movie_id is distinct from movies.source_movie_id
        or source_because_id is distinct from because.source_movie_id
"""
NAN = "(isnan(predicted_rating) or isnan(ranking_score))"


def checks(
    columns: list[str], named: bool, by_score: bool = True, capped: bool = False
) -> dict[str, str]:
    """What must hold, and the question for what breaks it; the most basic comes first.

    `columns` are those of the recommendations; `named`: whether the source has ids of its own;
    `by_score` and `capped` say how lists are made.
    """
    sources = " or ".join(f"{column} is not null" for column in columns if "source_" in column)
    of_lists = {}
    if by_score:
        of_lists["higher scores rank higher"] = (
            f"{ROWS} qualify ranking_score > "
            "lag(ranking_score) over (partition by user_id order by rank)"
        )
    if capped:
        of_lists["no list has more movies of a genre than score.genre_cap"] = OVER_CAP
        of_lists["lists are short only where no movie fits under score.genre_cap"] = LEFT_OUT
    nullable = schemas.NULLABLE["recommendations"]
    told = [f"{column} is null" for column in columns if column not in nullable]
    return {
        "no value is missing": f"{ROWS} where {' or '.join(told)} or {NAN}",
        "every row is of the run's date": f"{ROWS} where ds <> $ds",
        "every user is known": f"{ROWS} anti join users using (user_id)",
        "every user has the rows that top_k asks for": (
            f"from ({COUNTED}) where rows > {WANTED_ROWS} or rows < "
            f"{f'least(1, {WANTED_ROWS})' if capped else WANTED_ROWS}"
        ),
        "every list has the new movies that new_movies asks for": (
            f"from ({COUNTED}) where new_rows <> new_left"
        ),
        "rows of new movies say so, and no others": (
            f"{ROWS} join allowed using (movie_id) where is_new <> (source = 'content')"
        ),
        "ranks run from 1 without gaps, each with another movie": (
            f"from ({RANKED}) where first <> 1 or last <> rows or ranks <> rows or movies <> rows"
        ),
        **of_lists,
        "every row says which variant it is": (f"{ROWS} where variant is distinct from $variant"),
        "every row says what predicted it": (
            f"{ROWS} where model_version is distinct from $model_version"
        ),
        "every row says what ordered it": (
            f"{ROWS} where order_version is distinct from $order_version"
        ),
        "no recommended movie is filtered out, blocked or new": (
            f"{ROWS} anti join allowed using (movie_id)"
        ),
        "users with a list get movies of their list": (
            f"{ROWS} semi join candidates using (user_id) "
            "anti join candidates using (user_id, movie_id)"
        ),
        "no recommended movie was rated by the user": (
            f"{ROWS} semi join ratings using (user_id, movie_id)"
        ),
        "no movie was on the user's lists of the nights before": (
            f"{ROWS} semi join shown using (user_id, movie_id)"
        ),
        "predicted ratings lie on the scale": (
            f"{ROWS} where if($implicit, predicted_rating is not null, "
            "not coalesce(predicted_rating between $low and $high, false)) "
            f"or not list_contains({list(SOURCES)}, source)"
        ),
        "deviations of ratings are above 0": f"{ROWS} where rating_sd <= 0 or isnan(rating_sd)",
        "reasons are movies that the user has rated": BECAUSE,
        "users and movies are called as the source calls them": (
            NAMED if named else f"{ROWS} where {sources}"
        ),
    }


def challengers_in_sql(share: float) -> str:
    """SQL of whether a user of the view `everybody` is one of a challenger's share."""
    called = "coalesce(source_user_id, user_id::varchar)"
    return f"('0x' || md5({called})[1:8])::bigint < {share!r} * 4294967296"


def add_shown(
    tables: duckdb.DuckDBPyConnection, warehouse: Warehouse, release: str, ds: date, nights: int
) -> None:
    """The table `shown`: what users' published lists of so many nights before a date hold.

    Of a release alone: movies of others have other ids.
    """
    nothing = no_rows(duckdb_columns(schemas.CANDIDATES))
    versions = versions_at(warehouse, None) if nights else {}
    if not {"recommendations", "runs"} <= set(versions):
        tables.execute(f"create temp table shown as {nothing}")
        return
    lists, runs = (
        view_of(tables, DeltaTable(warehouse.table(name), version=versions[name]))
        for name in ("recommendations", "runs")
    )
    tables.execute(
        f"""
        create temp table shown as
        with before as (
            from ({lists}) where ds < $ds
                and run_id in (select run_id from ({runs}) where release = $release)),
        nights as (select distinct ds from before order by ds desc limit {nights})
        select distinct user_id, movie_id from before semi join nights using (ds)
        """,
        {"ds": ds, "release": release},
    )


def require_nobody_erased(
    tables: duckdb.DuckDBPyConnection, erased: Collection[str], quoted: int = 0
) -> None:
    """Raises JobError where a run's users, the view `users`, hold one who was erased.

    `erased` are ids as tables call them, `quoted` how many lines of theirs are in quarantine.
    Nobody's id is said: errors stay in logs.
    """
    [(found,)] = tables.execute(
        "select count(*) from users "
        "where coalesce(source_user_id, user_id::varchar) in (select unnest(?::varchar[]))",
        [sorted(erased)],
    ).fetchall()
    if found or quoted:
        raise JobError(
            f"Audit failed, nothing was published: {found:,} users of the run's data have asked to "
            f"be forgotten since that was delivered, and {quoted:,} lines in quarantine are "
            "theirs. Erase them from it, as in nightreel erase --release <release> --apply, and "
            "start the run again: nightreel ingest."
        )


def audit(data: ToPublish) -> list[str]:
    """Make all checks of recommendations; returns their names.

    Raises JobError with the first that fails.
    """
    tables, (low, high) = data.tables, data.rating_range
    tables.execute(
        "create or replace temp table allowed as "
        "select unnest($known)::integer as movie_id, false as is_new "
        "union all select unnest($new)::integer, true",
        {"known": data.movie_ids, "new": data.new_ids},
    )
    tables.execute(
        "create or replace temp view spent as select user_id, movie_id from ratings union all "
        "(select user_id, movie_id from shown anti join ratings using (user_id, movie_id))"
    )
    values = {
        "ds": data.ds,
        "top_k": data.top_k,
        "movies": len(data.movie_ids),
        "new": len(data.new_ids),
        "new_movies": data.new_movies,
        "variant": data.variant,
        "model_version": data.model_version,
        "order_version": data.order_version,
        "low": low,
        "high": high,
        "implicit": data.implicit,
        "genre_cap": data.genre_cap,
    }
    # Where there are none, nothing need be joined.
    [(names,)] = tables.execute(
        "select (select count(source_user_id) from users) + "
        "(select count(source_movie_id) from movies)"
    ).fetchall()
    columns = list(schemas.columns_of(schemas.RECOMMENDATIONS))
    questions = checks(columns, bool(names), data.by_score, data.genre_cap is not None)
    return make_checks(tables, questions, values)


def make_checks(
    tables: duckdb.DuckDBPyConnection, questions: dict[str, str], values: dict[str, Any]
) -> list[str]:
    """Ask the questions, in which values stand as $name; returns the names of the checks.

    Raises JobError with the first that finds a row.
    """
    for name, question in questions.items():
        asked = {key: value for key, value in values.items() if f"${key}" in question}
        found = tables.execute(f"{question} limit 1", asked)
        columns = [column for column, *_ in found.description or ()]
        if (row := found.fetchone()) is not None:
            example = ", ".join(f"{key}={value}" for key, value in zip(columns, row, strict=True))
            raise JobError(f"Audit failed, nothing was published: {name}. Example: {example}.")
    return list(questions)
