"""Write a release of the shape of ML-32M, made up: as many users, movies and ratings, long tails.

    PYTHONPATH=. python tests/benchmarks/large_release.py <folder> [--share 0.25] [--no-taste]

--share makes all three numbers smaller by as much. The files are ml-32m's: ratings.csv and
movies.csv, ratings sorted by user. The same options and seed give the same bytes.

Behind the ratings stand a bias for each user and movie, hidden factors that matrix factorisation
can find again, and noise. With --no-taste there are no factors, and nothing to learn but biases.
Prints the RMSE of who knows all of it but the noise, and of who knows the biases alone: no model
gets below the first, and one that has learned a taste lies between the two.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

USERS, MOVIES, RATINGS = 200_948, 87_585, 32_000_204
FIRST_TIME, LAST_TIME = 789_652_009, 1_697_164_147  # of ml-32m: 1995 to 2023
GENRES = ["Action", "Adventure", "Comedy", "Crime", "Drama", "Horror", "Romance", "Sci-Fi", "War"]
FACTORS = 8
MEAN, USER_BIAS, MOVIE_BIAS, TASTE, NOISE = 3.5, 0.4, 0.5, 0.6, 0.8
"""The mean, and the standard deviations of what is added to it."""
BLOCK = 1_000_000

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Hidden:
    """What U users think of M movies."""

    user_bias_U: Floats
    movie_bias_M: Floats
    user_UK: Floats
    movie_MK: Floats

    def biases(self, user_N: Ints, movie_N: Ints) -> Floats:
        """The ratings of N pairs, unrounded, as far as biases make them."""
        return MEAN + self.user_bias_U[user_N] + self.movie_bias_M[movie_N]

    def taste(self, user_N: Ints, movie_N: Ints) -> Floats:
        """What the factors add to them."""
        return np.einsum("nk,nk->n", self.user_UK[user_N], self.movie_MK[movie_N])


@dataclass(frozen=True)
class Release:
    """What was written, and the RMSE on all its ratings of two who need not learn."""

    ratings: int
    perfect_rmse: float
    """Of who knows biases and factors."""
    biases_rmse: float
    """Of who knows the biases alone."""


def pairs(users: int, movies: int, ratings: int, random: np.random.Generator) -> Ints:
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


def hide(users: int, movies: int, factors: int, random: np.random.Generator) -> Hidden:
    """Draw biases, and factors whose products have the spread TASTE."""
    user_bias_U = random.normal(0, USER_BIAS, users)
    movie_bias_M = random.normal(0, MOVIE_BIAS, movies)
    # A stream of their own: with and without taste, all else is the same.
    [stream] = random.spawn(1)
    user_UK = stream.standard_normal((users, factors), np.float32)
    movie_MK = stream.standard_normal((movies, factors), np.float32)
    spread = np.float32(TASTE / np.sqrt(max(1, factors)))
    return Hidden(user_bias_U, movie_bias_M, user_UK * spread, movie_MK)


def half_stars(unrounded: Floats) -> Floats:
    """The nearest ratings on MovieLens's scale."""
    return (2 * unrounded).round().clip(1, 10) / 2


def expected(unrounded: Floats, spread: float) -> Floats:
    """The mean of the half stars that come of adding noise of this spread: the best guess."""
    grid = np.linspace(MEAN - 10, MEAN + 10, 2001)
    noise = NormalDist(0, spread)
    above = [[noise.cdf(at - step) for at in grid] for step in np.arange(0.75, 5, 0.5)]
    return np.interp(unrounded, grid, 0.5 + 0.5 * np.sum(above, axis=0))


def blocks(rows: int) -> Iterator[slice]:
    """Slices of BLOCK rows, so that no array of all ratings times factors is made."""
    return (slice(start, start + BLOCK) for start in range(0, rows, BLOCK))


def rate(hidden: Hidden, user_N: Ints, movie_N: Ints, random: np.random.Generator) -> Floats:
    """Have users rate movies: N ratings in half stars."""
    rating_N = np.empty(len(user_N))
    for block in blocks(len(user_N)):
        unrounded = hidden.biases(user_N[block], movie_N[block])
        unrounded += hidden.taste(user_N[block], movie_N[block])
        rating_N[block] = half_stars(unrounded + random.normal(0, NOISE, len(unrounded)))
    return rating_N


def best_rmses(
    hidden: Hidden, user_N: Ints, movie_N: Ints, rating_N: Floats
) -> tuple[float, float]:
    """The RMSE of the best guess from biases and factors, and from biases alone."""
    # To who does not know the factors, taste is noise.
    spread = np.hypot(NOISE, TASTE if hidden.movie_MK.shape[1] else 0.0)
    squares = np.zeros(2)
    for block in blocks(len(user_N)):
        biases = hidden.biases(user_N[block], movie_N[block])
        taste = hidden.taste(user_N[block], movie_N[block])
        guesses = [expected(biases + taste, NOISE), expected(biases, float(spread))]
        squares += [np.square(guess - rating_N[block]).sum() for guess in guesses]
    perfect, by_biases = np.sqrt(squares / len(user_N))
    return float(perfect), float(by_biases)


def write_release(folder: Path, share: float = 1.0, taste: bool = True, seed: int = 1) -> Release:
    """Write both files."""
    random = np.random.default_rng(seed)
    users, movies, ratings = (max(1, round(n * share)) for n in (USERS, MOVIES, RATINGS))
    user, movie = np.divmod(pairs(users, movies, ratings, random), movies)
    hidden = hide(users, movies, FACTORS if taste else 0, random)
    rating = rate(hidden, user, movie, random)
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
    return Release(ratings, *best_rmses(hidden, user, movie, rating))


def main() -> None:
    """Write the release that the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--taste", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    made = write_release(arguments.folder, arguments.share, arguments.taste, arguments.seed)
    print(f"{made.ratings:,} ratings in {arguments.folder}")
    print(f"RMSE of a perfect model {made.perfect_rmse:.4f}, of the biases {made.biases_rmse:.4f}")


if __name__ == "__main__":
    main()
