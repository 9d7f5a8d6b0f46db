"""How unevenly ratings spread over users and movies."""

from __future__ import annotations

import numpy as np
from duckdb import DuckDBPyConnection

from jobs.pages.page import Part, Plot, Section, number, share
from jobs.pages.plots import Counts, gini, held_by_top, long_tail, lorenz
from jobs.pages.tables import Overall

# Movies with fewer ratings than this are hard to learn anything about.
FEW = 10


def activity(connection: DuckDBPyConnection, sizes: Overall) -> Section:
    """Ratings per user and per movie: their long tails, and how much the largest hold."""
    users, movies = ratings_per(connection, "user"), ratings_per(connection, "movie")
    median = {name: number(float(np.median(n))) for name, n in (("user", users), ("movie", movies))}
    few = int((movies < FEW).sum())
    parts: list[Part] = [
        Plot(
            long_tail({"movies": movies, "users": users}, "place, most ratings first", "ratings"),
            f"Half of the users have rated {median['user']} movies or fewer, the most active one "
            f"{number(users.max())}. Half of the movies have {median['movie']} ratings or fewer, "
            f"the most rated one {number(movies.max())}; {number(few)} movies "
            f"({share(few, len(movies))}) have fewer than {FEW}.",
            "Curves on logarithmic scales: ratings per movie and per user, the largest first.",
        ),
        Plot(
            lorenz(
                {"movies": movies, "users": users},
                "movies or users, fewest ratings first",
                "of all ratings",
            ),
            f"The most rated 10% of movies hold {share(held_by_top(movies), sizes.ratings)} of "
            "all ratings, the most active 10% of users "
            f"{share(held_by_top(users), sizes.ratings)}. "
            f"The Gini coefficient is {gini(movies):.2f} for movies and {gini(users):.2f} for "
            "users; an even spread, the dashed line, has 0.",
            "Lorenz curves of the ratings of users and of movies.",
        ),
    ]
    return Section("Users and movies", parts)


def ratings_per(connection: DuckDBPyConnection, entity: str) -> Counts:
    """Numbers of ratings, of those without any too, ascending."""
    query = f"select ratings from {entity}_counts order by ratings"
    return np.asarray(connection.execute(query).fetchnumpy()["ratings"])
