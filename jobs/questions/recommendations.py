"""A user's published recommendations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import duckdb

from jobs.engines.terminal import show_table
from jobs.published.runs_table import latest_run
from jobs.runs.errors import JobError


class Recommendation(NamedTuple):
    """One row of the recommendations of a user, with the movie's genres."""

    rank: int
    movie_id: str
    """As the source writes it."""
    title: str
    genres: list[str]
    predicted_rating: float | None
    """None where there are no ratings to predict."""
    source: str
    model_version: str
    run_id: str
    ranking_score: float | None
    """What movies are ranked by, where that is not the predicted rating itself."""
    order_version: str | None
    """Version of the model that ranks them; None where predicted ratings do."""
    rating_sd: float | None
    """Standard deviation of the rating; None where the table does not say."""
    because: str | None
    """Title of the rated movie that speaks most for it; None where the table does not say."""
    because_share: float | None
    """Its part of all that speaks for it."""
    variant: str | None
    """champion or challenger; None of rows of before there was one."""

    @property
    def made_by(self) -> str:
        """Which models, for a title."""
        order = f", ordered by version {self.order_version}" if self.order_version else ""
        variant = f"{self.variant}: " if self.variant else ""
        return f"{variant}model version {self.model_version}{order}"


def number_of(connection: duckdb.DuckDBPyConnection, release: str, entity: str, given: str) -> int:
    """The number in our tables of a user or movie whom the source calls so.

    A whole number that can be one of ours is one, whether or not there is such a user or movie.
    Raises JobError, saying which ids there are, for any other id that the release does not have.
    """
    if (own := own_number(given)) is not None:
        return own
    query = f"select {entity}_id from {entity}s where source_{entity}_id = ?"
    row = connection.execute(query, [given]).fetchone()
    if row is None:
        raise unknown(connection, release, entity, given)
    return row[0]


def own_number(given: str) -> int | None:
    """An id that is a number of ours already; None of any other."""
    is_own = re.fullmatch(r"[1-9][0-9]{0,9}", given) and int(given) < 2**31
    return int(given) if is_own else None


def number_on(connection: duckdb.DuckDBPyConnection, ds: date, given: str) -> int | None:
    """The number of a user in the recommendations of a date; None if nobody is called so there.

    Another release's date may have given the number to somebody else.
    """
    if (own := own_number(given)) is not None:
        return own
    query = "select user_id from recommendations where ds = ? and source_user_id = ? limit 1"
    row = connection.execute(query, [ds, given]).fetchone()
    return row[0] if row else None


def require_user(connection: duckdb.DuckDBPyConnection, given: str) -> int:
    """The user's number. Raises JobError, saying which ids there are, if there is no such user."""
    release = latest_run(connection).release
    user_id = number_of(connection, release, "user", given)
    if not connection.execute("from users where user_id = ?", [user_id]).fetchone():
        raise unknown(connection, release, "user", given)
    return user_id


def require_movie(connection: duckdb.DuckDBPyConnection, given: str) -> tuple[int, str]:
    """The movie's number and title. Raises JobError, saying how to find one, if there is none."""
    release = latest_run(connection).release
    movie_id = number_of(connection, release, "movie", given)
    query = "select title from movies where movie_id = ?"
    row = connection.execute(query, [movie_id]).fetchone()
    if row is None:
        raise unknown(connection, release, "movie", given)
    return movie_id, row[0]


def unknown(
    connection: duckdb.DuckDBPyConnection, release: str, entity: str, found: str
) -> JobError:
    """That there is no such user or movie, and which there are."""
    query = (
        f"select count(*), min({entity}_id), max({entity}_id), min(source_{entity}_id), "
        f"max(source_{entity}_id) from {entity}s"
    )
    [(count, *ends, first, last)] = connection.execute(query).fetchall()
    first, last = ends if first is None else (first, last)
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
        select r.rank, coalesce(r.source_movie_id, r.movie_id::varchar), r.title, m.genres,
            r.predicted_rating, r.source, r.model_version, r.run_id,
            if(
                damping > 0 or lower_bound is not null or r.order_version is not null,
                r.ranking_score, null
            ),
            r.order_version, r.rating_sd,
            coalesce(b.title, r.source_because_id, r.because_movie_id::varchar), r.because_share,
            r.variant
        from recommendations r
        left join runs using (run_id)
        -- Movies are those of the release published last: another's have other ids.
        left join movies m on m.movie_id = r.movie_id and release = $release
        left join movies b on b.movie_id = r.because_movie_id and release = $release
        where r.ds = $ds and r.user_id = $user and r.rank <= $top order by r.rank
        """,
        {"release": latest_run(connection).release, "ds": ds, "user": user_id, "top": top},
    )
    return [Recommendation(*row) for row in rows.fetchall()]


def show_recommendations(title: str, rows: Sequence[Recommendation]) -> None:
    """Print one user's recommendations, best first; with what ranks them, if that is another.

    And with the rated movie that speaks most for each, if any has one.
    """
    scored = any(row.ranking_score is not None for row in rows)
    predicted = any(row.predicted_rating is not None for row in rows)
    doubtful = any(row.rating_sd is not None for row in rows)
    reasoned = any(row.because is not None for row in rows)
    cells = (
        (
            row.rank,
            row.movie_id,
            row.title,
            ", ".join(row.genres or []),
            *([] if not predicted else [known(row.predicted_rating)]),
            *([] if not doubtful else [known(row.rating_sd)]),
            *([] if row.ranking_score is None else [f"{row.ranking_score:.2f}"]),
            row.source,
            *([] if not reasoned else [reason(row.because, row.because_share)]),
        )
        for row in rows
    )
    headers = ["Rank", "Movie", "Title", "Genres", "Predicted", "Deviation", "Score", "Source"]
    headers += ["Because you rated"]
    if not scored:
        headers.remove("Score")
    if not predicted:
        headers.remove("Predicted")
    if not doubtful:
        headers.remove("Deviation")
    if not reasoned:
        headers.remove("Because you rated")
    numbers = {"Rank", "Movie", "Predicted", "Deviation", "Score"}
    show_table(title, headers, cells, numbers=numbers)


def reason(title: str | None, share: float | None) -> str:
    """A reason as tables show it; nothing where there is none."""
    return "" if title is None or share is None else f"{title} ({share:.0%})"


def known(value: float | None) -> str:
    """A number as tables show it; nothing where it is not known."""
    return "" if value is None else f"{value:.2f}"
