"""The movies most like a movie, from the published table."""

from __future__ import annotations

from jobs.engines.terminal import show_table
from jobs.published.runs_table import latest_run
from jobs.published.versions import tables_at
from jobs.published.views import add_version, connect_to
from jobs.questions.query import add_at
from jobs.questions.recommendations import require_movie
from jobs.runs.command import command_arguments, day, positive, source_id
from jobs.runs.configuration import warehouse_of
from jobs.runs.errors import JobError
from jobs.runs.text import visible

HELP = """Show the movies that are most like a movie: that the same users want, or do not.

    nightreel similar --movie 260
    nightreel similar --movie 260 --top 5
    nightreel similar --movie 260 --ds 2026-11-23     as of an earlier date
    nightreel similar --movie 260 --at 2026-11-23T09:00

Search by title: nightreel sql "from movies where title ilike '%matrix%'"
"""


def main(argv: list[str] | None = None) -> None:
    """`nightreel similar`."""
    parser = command_arguments(HELP)
    parser.add_argument("--movie", type=source_id, required=True, help="the movie's id")
    parser.add_argument("--top", type=positive, default=20, help="how many movies (default: 20)")
    parser.add_argument("--ds", type=day, help="the date (default: that of the newest run)")
    add_at(parser)
    arguments = parser.parse_args(argv)
    needed = ("movies", "runs", "similar_movies")
    tables = tables_at(warehouse_of(arguments), needed, arguments.at)
    published = tables.pop("similar_movies")
    connection = connect_to(tables)
    ds = arguments.ds or latest_run(connection).ds
    movie, title = require_movie(connection, arguments.movie)
    where = f"ds = '{ds}' and movie_id = {movie}"
    add_version(connection, "similar_movies", published, where)
    rows = connection.execute(
        "select rank, coalesce(source_similar_id, similar_id::varchar), s.title, "
        "array_to_string(genres, ', '), similarity, model_version "
        # Movies are those of the release published last: another's have other ids.
        "from similar_movies s left join movies m on m.movie_id = similar_id and m.title = s.title "
        f"where s.{where.replace('movie_id', 's.movie_id')} and rank <= ? order by rank",
        [arguments.top],
    ).fetchall()
    if not rows:
        raise no_rows(ds.isoformat(), title, {p["ds"] for p in published.partitions()})
    cells = ((*row[:3], row[3] or "", f"{row[4]:.2f}") for row in rows)
    show_table(
        f"Movies like {title}",
        ["Rank", "Movie", "Title", "Genres", "Similarity"],
        cells,
        numbers={"Rank", "Movie", "Similarity"},
    )
    print(f"As of {ds}, by version {visible(rows[0][5])}.")


def no_rows(ds: str, title: str, published: set[str]) -> JobError:
    """Why a movie has no similar ones of a date; `published` are the dates that have some."""
    if ds not in published:
        shown = ", ".join(sorted(published, reverse=True)[:10]) or "none"
        return JobError(
            f"No similar movies are published for {ds}: score.similar was 0. Dates that have some: "
            f"{shown}."
        )
    return JobError(f"{title} has no similar movies of {ds}: the model has learned nothing of it.")
