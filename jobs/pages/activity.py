"""How unevenly ratings spread over users and movies."""

from __future__ import annotations

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from jobs.pages.curves import long_tail, lorenz
from jobs.pages.overview import Overall
from jobs.pages.page import Part, Plot, Section, number, share

Counts = NDArray[np.int64]
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


def held_by_top(counts: Counts, part: float = 0.1) -> int:
    """The sum of the largest tenth, rounded up, of counts in ascending order."""
    return int(counts[len(counts) - int(np.ceil(part * len(counts))) :].sum())


def gini(counts: Counts) -> float:
    """The Gini coefficient of counts in ascending order: 0 if all are equal, near 1 if one has all.

    Twice the area between the Lorenz curve and the diagonal.
    """
    n, total = len(counts), int(counts.sum())
    if total == 0:
        return 0.0
    return float(2 * (np.arange(1, n + 1) * counts).sum() / (n * total) - (n + 1) / n)
