"""Whole releases with the oddities of GroupLens's own, from a seed; and what must come of them."""

from __future__ import annotations

import random
from typing import NamedTuple

GENRES = ["Action", "Children's", "Drama", "Film-Noir", "IMAX", "Sci-Fi"]
MOVIES, USERS = 60, 40
# Title as it stands in the file, before quoting; and the year that it says.
TITLES = [
    ("Movie {n} ({y})", True),
    ("Movie, The {n} ({y})", True),
    ('Movie, or "Film" {n} ({y})', True),
    ("Misérables {n} (Les) ({y})", True),
    ("Movie {n} (1901) ({y})", True),
    ("Series {n} ({y}–)", True),
    ("Movie {n} ({y}) (V)", True),
    ("Movie {n}", False),
]
# Lines that cannot be used, in fields.
BAD = [
    ("{u}", "{m}", "5.5", "1"),
    ("{u}", "{m}", "0", "1"),
    ("{u}", "{m}", "3.25", "1"),
    ("0", "{m}", "3", "1"),
    ("{u}", "9999", "3", "1"),
    ("{u}", "{m}", "3", "never"),
    ("{u}", "{m}", "3"),
]


class Expected(NamedTuple):
    """What etl must make of a release."""

    ratings: dict[tuple[int, int], tuple[float, int]]
    """Rating and timestamp by user and movie: the newest of repeated ones."""
    movies: dict[int, tuple[str, int | None, list[str]]]
    """Title, year and genres."""
    lines: int
    quarantined: int
    duplicates: int


def quoted(text: str, separator: str) -> str:
    """A field as a CSV file has it; other files know no quotes."""
    if separator != "," or not set(text) & {",", '"'}:
        return text
    return '"' + text.replace('"', '""') + '"'


def generate(seed: int, separator: str, suffix: str, step: float) -> tuple[dict, Expected]:
    """ratings.<suffix> and movies.<suffix> in UTF-8, with half or whole stars by `step`."""
    rng = random.Random(seed)
    movies, movie_lines = {}, []
    for movie_id in range(1, MOVIES + 1):
        title, dated = TITLES[movie_id % len(TITLES)]
        year = rng.randint(1920, 2020)
        title = title.format(n=movie_id, y=year)
        genres = rng.sample(GENRES, rng.randint(0, 3))
        movies[movie_id] = (title, year if dated else None, genres)
        named = "|".join(genres) or "(no genres listed)"
        movie_lines.append(separator.join([str(movie_id), quoted(title, separator), named]))
    ratings: dict[tuple[int, int], tuple[float, int]] = {}
    lines, quarantined, duplicates = [], 0, 0
    for number in range(3000):
        user, movie = rng.randint(1, USERS), rng.randint(1, MOVIES)
        if number % 50 == 7:
            bad = rng.choice(BAD)
            lines.append(separator.join(bad).format(u=user, m=movie))
            quarantined += 1
            continue
        rating, time = step * rng.randint(1, round(5 / step)), 1_000_000_000 + rng.randint(0, 99)
        written = f"{rating:g}" if separator == "::" else f"{rating}"
        lines.append(separator.join([str(user), str(movie), written, str(time)]))
        earlier = ratings.get((user, movie))
        duplicates += earlier is not None
        # Of equally new ones the last line counts.
        if earlier is None or time >= earlier[1]:
            ratings[user, movie] = (rating, time)
    if separator == ",":
        lines.insert(0, "userId,movieId,rating,timestamp")
        movie_lines.insert(0, "movieId,title,genres")
    files = {
        f"{name}.{suffix}": ("\n".join(rows) + "\n").encode()
        for name, rows in (("ratings", lines), ("movies", movie_lines))
    }
    return files, Expected(ratings, movies, 3000, quarantined, duplicates)
