"""The built-in sample: a small invented release in the layout of MovieLens 1M.

Behind the ratings stands a model that matrix factorisation can find again: users lean towards a few
kinds of movie, movies of the same genres resemble each other, and three hidden factors that no
genre shows do the rest. Users choose popular movies, and among them rather the ones they will
like. Every number comes from the seed, so the same seed writes the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.release.sample_movies import GENRES, make_movies

USERS, MOVIES, RATINGS = 3000, 1500, 250_000
FEWEST_RATINGS = 20
LIKINGS, HIDDEN = 4, 3
FIRST_DAY = 956_700_000  # April 2000, when MovieLens 1M begins

AGES = {1: 0.04, 18: 0.18, 25: 0.35, 35: 0.20, 45: 0.09, 50: 0.08, 56: 0.06}

README = f"""An invented sample in the layout of MovieLens 1M
================================================

No person, film or rating in these files is real: jobs/release/sample.py of Nightreel generated
them, so they may be used and passed on freely. It holds {USERS:,} users, {MOVIES:,} movies and
about {RATINGS:,} ratings.

ratings.dat  UserID::MovieID::Rating::Timestamp        1 to 5, whole stars; seconds since 1970
movies.dat   MovieID::Title (Year)::Genre|Genre        latin-1
users.dat    UserID::Gender::Age::Occupation::Zip-code the codes of MovieLens 1M
"""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def true_scores(rng: np.random.Generator, genres: NDArray[np.bool_], leaning: Floats) -> Floats:
    """Work out what each user would give each movie, before noise and rounding: users x movies.

    `leaning` (users x LIKINGS) shifts what a user likes, as age and gender do.
    """
    users, movies = len(leaning), len(genres)
    liking = rng.normal(size=(users, LIKINGS)) + leaning - leaning.mean(axis=0)
    of_genre = rng.normal(size=(LIKINGS, genres.shape[1]))
    genre_part = liking @ of_genre @ (genres / np.sqrt(genres.sum(axis=1, keepdims=True))).T
    genre_part /= genre_part.std()
    hidden_part = rng.normal(size=(users, HIDDEN)) @ rng.normal(size=(HIDDEN, movies))
    hidden_part /= hidden_part.std()
    user_bias = rng.normal(0, 0.40, size=(users, 1))
    # Popular movies, which come first, are better liked.
    movie_bias = rng.normal(0, 0.42, size=movies) + np.linspace(0.45, -0.55, movies)
    return 3.12 + user_bias + movie_bias + 0.42 * genre_part + 0.46 * hidden_part


def choose_rated(rng: np.random.Generator, scores: Floats, ratings: int) -> tuple[Ints, Ints]:
    """Choose who rates what: two columns of row numbers, no pair twice, ordered by user.

    Long tails both ways: lognormal ratings per user, Zipf-like popularity of movies. What a user
    rates next follows from taste, as what was rated before does, and is in no order.
    """
    users, movies = scores.shape
    # Capped, so that nobody rates nearly every movie.
    extra = np.minimum(rng.lognormal(0, 1.15, size=users), 18)
    extra *= (ratings / users - FEWEST_RATINGS) / extra.mean()
    counts = FEWEST_RATINGS + np.rint(extra).astype(int)
    rank = np.arange(movies)
    popularity = -1.1 * np.log(rank + 40) - 5 * (rank / movies) ** 3
    taste = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    # Gumbel noise makes the highest keys a draw without replacement, weighted by exp(key).
    keys = popularity + 0.6 * scores + taste + rng.gumbel(size=scores.shape)
    order = np.argsort(-keys, axis=1)
    chosen = np.arange(movies) < counts[:, None]
    user_row, movie_row = np.repeat(np.arange(users), counts), order[chosen]
    return user_row, movie_row[np.lexsort((rng.random(len(user_row)), user_row))]


def session_times(rng: np.random.Generator, user_row: Ints) -> Ints:
    """Give each rating a time, rising within a user: seconds apart, now and then days."""
    count = len(user_row)
    seconds = rng.exponential(20, size=count) + 1
    seconds += np.where(rng.random(count) < 0.05, rng.exponential(12 * 86400, size=count), 0)
    first = np.r_[True, user_row[1:] != user_row[:-1]]
    seconds[first] = 0
    total = np.cumsum(seconds)
    start = FIRST_DAY + rng.integers(0, 240 * 86400, size=first.sum())
    user_number = np.cumsum(first) - 1
    return (start[user_number] + total - total[first][user_number]).astype(np.int64)


def write_sample(folder: Path, seed: int = 1) -> None:
    """Write ratings.dat, movies.dat, users.dat and README into an existing, empty folder."""
    rng = np.random.default_rng(seed)
    movies = make_movies(rng, MOVIES)
    gender = rng.choice(2, size=USERS, p=[0.28, 0.72])
    age = rng.choice(len(AGES), size=USERS, p=list(AGES.values()))
    occupation = rng.integers(0, 21, size=USERS)
    zip_code = rng.integers(1000, 99951, size=USERS)
    by_gender = rng.normal(0, 0.4, size=(2, LIKINGS))
    by_age = rng.normal(0, 0.4, size=(len(AGES), LIKINGS))

    scores = true_scores(rng, movies.genres, by_gender[gender] + by_age[age])
    user_row, movie_row = choose_rated(rng, scores, RATINGS)
    noisy = scores[user_row, movie_row] + rng.normal(0, 0.82, size=len(user_row))
    rating = np.clip(np.rint(noisy), 1, 5).astype(int)
    times = session_times(rng, user_row)

    columns = (user_row + 1, movies.movie_id[movie_row], rating, times)
    write_lines(folder / "ratings.dat", columns)
    by_id = np.argsort(movies.movie_id)
    genres = ["|".join(np.array(list(GENRES))[row]) for row in movies.genres[by_id]]
    titles = [movies.title[row] for row in by_id]
    write_lines(folder / "movies.dat", (movies.movie_id[by_id], titles, genres))
    codes = np.array(list(AGES))[age]
    zips = [f"{code:05d}" for code in zip_code]
    users = (np.arange(USERS) + 1, np.array(["F", "M"])[gender], codes, occupation, zips)
    write_lines(folder / "users.dat", users)
    (folder / "README").write_text(README, encoding="latin-1")


def write_lines(file: Path, columns: tuple[NDArray | list[str], ...]) -> None:
    rows = zip(*(np.asarray(column).astype(str).tolist() for column in columns), strict=True)
    content = "".join("::".join(row) + "\n" for row in rows)
    file.write_text(content, encoding="latin-1", newline="\n")
