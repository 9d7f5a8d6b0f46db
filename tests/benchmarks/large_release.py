"""Write a release of the shape of ML-32M, made up: as many users, movies and ratings, long tails.

    python tests/benchmarks/large_release.py <folder> [--share 0.25]

--share makes all three numbers smaller by as much. The files are ml-32m's: ratings.csv and
movies.csv, ratings sorted by user. The same share and seed give the same bytes.
"""

import argparse
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

USERS, MOVIES, RATINGS = 200_948, 87_585, 32_000_204
FIRST_TIME, LAST_TIME = 789_652_009, 1_697_164_147  # of ml-32m: 1995 to 2023
GENRES = ["Action", "Adventure", "Comedy", "Crime", "Drama", "Horror", "Romance", "Sci-Fi", "War"]


def pairs(users: int, movies: int, ratings: int, random: np.random.Generator) -> np.ndarray:
    """`ratings` distinct pairs (user, movie) as one number each, sorted: user x movies + movie.

    Users rate 20 movies and a log-normal number more; a movie is as popular as the square of its
    rank is small, flattened for the first hundredth. At full size the median user has rated about
    100 movies, the median movie has about twenty ratings, and the most rated tens of thousands.
    """
    activity = 20 + random.lognormal(3.9, 1.3, users)
    popularity = (np.arange(movies) + 0.008 * movies) ** -2.0
    popularity_up_to = np.cumsum(random.permutation(popularity))
    found = np.empty(0, np.int64)
    while len(found) < ratings:
        # Some pairs are drawn twice: what is missing is drawn again.
        wanted = int((ratings - len(found)) * 1.2) + 1000
        user = np.repeat(np.arange(users), random.multinomial(wanted, activity / activity.sum()))
        drawn = random.random(wanted) * popularity_up_to[-1]
        movie = np.searchsorted(popularity_up_to, drawn)
        found = np.unique(np.concatenate([found, user * np.int64(movies) + movie]))
    surplus = random.choice(len(found), len(found) - ratings, replace=False)
    return np.delete(found, surplus)


def write_release(folder: Path, share: float = 1.0, seed: int = 1) -> int:
    """Write both files; returns the number of ratings."""
    random = np.random.default_rng(seed)
    users, movies, ratings = (max(1, round(n * share)) for n in (USERS, MOVIES, RATINGS))
    pair = pairs(users, movies, ratings, random)
    user, movie = np.divmod(pair, movies)
    liking = random.normal(3.5, 0.4, users)[user] + random.normal(0, 0.5, movies)[movie]
    rating = (2 * (liking + random.normal(0, 0.8, ratings))).round().clip(1, 10) / 2
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "ratings": pd.DataFrame(
            {
                "userId": user + 1,
                "movieId": movie + 1,
                "rating": rating,
                "timestamp": random.integers(FIRST_TIME, LAST_TIME, ratings),
            }
        ),
        "movies": pd.DataFrame(
            {
                "movieId": np.arange(movies) + 1,
                "title": [f"Movie, The {n} ({1920 + n % 100})" for n in range(movies)],
                "genres": random.choice(GENRES, movies),
            }
        ),
    }
    for name, rows in tables.items():
        with duckdb.connect() as connection:
            connection.register("rows", rows)
            file = str(folder / f"{name}.csv").replace("'", "''")
            connection.execute(f"copy rows to '{file}' (format csv, header)")
    return ratings


def main() -> None:
    """Write the release that the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    ratings = write_release(arguments.folder, arguments.share, arguments.seed)
    print(f"{ratings:,} ratings in {arguments.folder}")


if __name__ == "__main__":
    main()
