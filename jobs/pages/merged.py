"""What the merged table shows: every rating with its movie and its user."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.pages.page import Section, Table, Text, count, number, share
from jobs.pages.tables import Overall

TOP = 10
# Ratings of the overall mean that every movie gets in addition, so that few high ones do not win.
DAMPING = 25
MOVIE = ["Movie", "Genres", "Ratings", "Mean"]
NUMBERS = frozenset({"Ratings", "Mean", "Damped mean", "User", "Rating", "Date"})


def merged(connection: DuckDBPyConnection, sizes: Overall) -> Section:
    """How many rows join, which movies are rated most and best, and the first rows."""
    [(joined,)] = connection.execute("""
        select count(*) from ratings
        semi join movies using (movie_id) semi join users using (user_id)
        """).fetchall()
    lost = sizes.ratings - joined
    unrated, silent = sizes.movies - sizes.rated_movies, sizes.users - sizes.raters
    told = [
        f"Ratings joined with movies and users give {count(joined, 'row')}: "
        + ("every rating finds its movie and its user." if not lost else f"{lost:,} do not join."),
        f"Without a rating: {count(unrated, 'movie')} ({share(unrated, sizes.movies)})."
        if unrated
        else "Every movie has a rating.",
        f"Without any: {count(silent, 'user')} ({share(silent, sizes.users)})."
        if silent
        else "Every user has rated.",
        f"The mean user has rated {number(sizes.ratings / max(sizes.raters, 1), 1)} movies.",
    ]
    most = movies(connection, sizes, "ratings desc, movie_id")
    best = movies(connection, sizes, "damped desc, movie_id")
    return Section(
        "The merged table",
        [
            Text(" ".join(told)),
            Table(
                "Most rated movies",
                MOVIE,
                [(title, genres, number(n), number(mean, 2)) for title, genres, n, mean, _ in most],
                NUMBERS,
            ),
            Table(
                f"Best rated movies; {DAMPING} ratings of the overall mean, "
                f"{number(sizes.mean, 2)}, are added to each",
                [*MOVIE, "Damped mean"],
                [
                    (title, genres, number(n), number(mean, 2), number(damped, 2))
                    for title, genres, n, mean, damped in best
                ],
                NUMBERS,
            ),
            first_rows(connection),
        ],
    )


def movies(
    connection: DuckDBPyConnection, sizes: Overall, order: str
) -> list[tuple[str, str, int, float, float]]:
    """Title, genres, ratings, mean and damped mean of the first movies in an order."""
    return connection.execute(
        f"""
        select title, coalesce(array_to_string(genres, ', '), ''), ratings, total / ratings,
            (total + $damping * $mean) / (ratings + $damping) damped
        from movies join movie_counts using (movie_id) where ratings > 0
        order by {order} limit {TOP}
        """,
        {"damping": DAMPING, "mean": sizes.mean},
    ).fetchall()


def first_rows(connection: DuckDBPyConnection) -> Table:
    """The first rows of the merged table; unknown values are blank."""
    rows = connection.execute("""
        select coalesce(source_user_id, r.user_id::text), coalesce(gender, ''),
            coalesce(age::text, ''), coalesce(occupation, ''), title,
            coalesce(array_to_string(genres, ', '), ''),
            printf('%g', rating::double), coalesce(strftime(rated_at, '%Y-%m-%d'), '')
        from (from ratings order by user_id, movie_id limit 5) r
        join movies using (movie_id) join users using (user_id) order by r.user_id, movie_id
        """).fetchall()
    headers = ["User", "Gender", "Age", "Occupation", "Movie", "Genres", "Rating", "Date"]
    return Table("Its first rows", headers, rows, NUMBERS)
