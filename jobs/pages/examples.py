"""Some users: the movies that they rated best, beside those recommended to them, and why."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.pages.page import Part, Section, Table, Text, count, listed

# Where the users stand among all, by number of ratings: few, typical, many.
PLACES = (0.1, 0.5, 0.9)
ROWS = 8


def examples(connection: DuckDBPyConnection) -> Section:
    """A user with few ratings, a typical one, and one with many."""
    users = connection.execute("""
        select user_id, coalesce(source_user_id, user_id::varchar), ratings
        from user_counts join users using (user_id)
        semi join scored using (user_id) order by ratings, user_id
        """).fetchall()
    if not users:
        return Section("Some users", [Text("No user has a recommendation.")])
    chosen = dict.fromkeys(users[int(place * (len(users) - 1))] for place in PLACES)
    text = Text(
        "Users with few, some and many ratings: in the order of all users they stand at "
        f"{listed([f'{100 * place:.0f}%' for place in PLACES])}."
    )
    parts: list[Part] = [text]
    for user_id, user, ratings in chosen:
        rated = f"User {user}: best rated of {count(ratings, 'movie')}"
        parts += [best_rated(connection, user_id, rated)]
        parts += [best_scored(connection, user_id, f"User {user}: recommended")]
    return Section("Some users", parts)


def best_rated(connection: DuckDBPyConnection, user_id: int, title: str) -> Table:
    """What a user rated best; of equally rated movies the well-known ones."""
    rows = connection.execute(
        f"""
        select title, coalesce(array_to_string(genres, ', '), ''), printf('%g', r.rating::double)
        from ratings r join movies using (movie_id) join movie_counts using (movie_id)
        where user_id = ? order by r.rating desc, ratings desc, movie_id limit {ROWS}
        """,
        [user_id],
    ).fetchall()
    return Table(
        title,
        ["Movie", "Genres", "Rating"],
        rows,
        frozenset({"Rating"}),
        wide=False,
    )


def best_scored(connection: DuckDBPyConnection, user_id: int, title: str) -> Table:
    """What is recommended to a user, and the rated movie that speaks most for each."""
    rows = connection.execute(
        f"""
        select s.title, coalesce(array_to_string(movies.genres, ', '), ''),
            coalesce(printf('%.2f', predicted_rating::double), ''),
            coalesce(printf('%s (%.0f%%)', because.title, 100 * because_share::double), '')
        from scored s join movies using (movie_id)
        left join movies because on because.movie_id = because_movie_id
        where user_id = ? order by rank limit {ROWS}
        """,
        [user_id],
    ).fetchall()
    headers = ["Movie", "Genres", "Predicted", "Because the user rated"]
    if not any(because for *_, because in rows):
        headers.pop()
    return Table(
        title,
        headers,
        [row[: len(headers)] for row in rows],
        frozenset({"Predicted"}),
        wide=False,
    )
