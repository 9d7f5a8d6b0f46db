"""Genres, alone and in combination."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from jobs.pages.page import Plot, Section, Table, Text, count, listed, number, share
from jobs.pages.plots import bars, cloud
from jobs.pages.tables import Overall

COMBINATIONS = 10
# MovieLens has about twenty genres; a picture holds no more than this.
DRAWN = 30


def genres(connection: DuckDBPyConnection, sizes: Overall) -> Section:
    """How many genres there are, how often each is given, and how they are combined."""
    found = connection.execute("""
        select genre, count(*) movies, sum(ratings)::bigint
        from (select movie_id, unnest(genres) genre from movies)
        join movie_counts using (movie_id) group by genre order by movies desc, genre
        """).fetchall()
    if not found:
        return Section("Genres", [Text("No movie has a genre.")])
    combinations = connection.execute("""
        select array_to_string(genres, ', ') combination, count(*) n, sum(ratings)::bigint
        from movies join movie_counts using (movie_id) where len(genres) > 0
        group by 1 order by n desc, combination
        """).fetchall()
    alone = sum(n for combination, n, _ in combinations if combination in {g for g, *_ in found})
    told = Text(
        f"The movies carry {count(len(combinations), 'combination')} of "
        f"{count(len(found), 'single genre')}; {number(alone)} movies "
        f"({share(alone, sizes.movies)}) have one genre alone."
    )
    table = Table(
        f"The {min(COMBINATIONS, len(combinations))} most frequent combinations",
        ["Genres", "Movies", "Share", "Ratings"],
        [
            (c, number(n), share(n, sizes.movies), number(r))
            for c, n, r in combinations[:COMBINATIONS]
        ],
        frozenset({"Movies", "Share", "Ratings"}),
    )
    return Section("Genres", [told, *frequency(found[:DRAWN], sizes), table])


def frequency(found: list[tuple[str, int, int]], sizes: Overall) -> list[Plot]:
    """Plots of genres, their movies and their ratings; the genre of most movies comes first."""
    (first, most, _), (last, fewest, _) = found[0], found[-1]
    rated = sorted(found, key=lambda row: (-row[2], row[0]))
    top, _, ratings = rated[0]
    return [
        Plot(
            bars([g for g, *_ in found], [n for _, n, _ in found]),
            f"{first} is the most frequent genre, of {number(most)} movies "
            f"({share(most, sizes.movies)}); {last} is the rarest, of {number(fewest)}.",
            "Bar chart: movies per genre.",
        ),
        Plot(
            bars([g for g, *_ in rated], [n for *_, n in rated]),
            f"{top} draws the most ratings: {number(ratings)}, or "
            f"{share(ratings, sizes.ratings)} of all. A rating counts once for every genre of "
            "its movie.",
            "Bar chart: ratings per genre.",
        ),
        Plot(
            cloud({g: n for g, n, _ in found}),
            "The more movies carry a genre, the larger its word. The largest: "
            f"{listed([g for g, *_ in found[:5]])}.",
            "Word cloud of genres, sized by their number of movies.",
            wide=True,
        ),
    ]
