"""Predict the rating that a user would give a movie, with the model of the newest published run.

    nightreel predict --user 2000 --movie 456
    nightreel predict --user 2000 --rated            what the user did rate, beside the prediction
    nightreel predict --pairs pairs.csv --out predictions.csv

pairs.csv begins with the line user_id,movie_id, then one pair per line; predictions.csv has the
same pairs in the same order. A column rated_at may follow: the second since 1970 at which the
rating is given, or nothing for today, for models that learn from times; other columns are ignored.
What --rated shows is predicted for when it was rated. Predictions lie on the scale of the ratings.
A model that knows how far off a rating may be, as bayesian, says where it
lies in nine of ten cases; predictions.csv then has its standard deviation, rating_sd. The source of
a prediction says what it rests on:
    model      both the user and the movie were learned from ratings
    folded_in  the user is new to the model, or has rated since it learned: a row of all the
               user's published ratings, on what was learned of movies
    content    nothing was learned of the movie: by its genres, year and title
    popular    nothing was learned of the user: the rating to expect of anybody
    mean       nothing is known of the movie: the mean rating, and the user's own bias
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from jobs.engines.terminal import show_table
from jobs.published.runs_table import LatestRun, latest_run
from jobs.published.views import connect
from jobs.questions.pairs import (
    Numbers,
    deviations,
    movies_of,
    numbers_of,
    predict_file,
    predict_pairs,
)
from jobs.questions.recommendations import require_movie, require_user
from jobs.questions.tonight import of_published
from jobs.runs.command import command_arguments, source_id
from jobs.runs.configuration import load_configuration, warehouse_of
from jobs.runs.errors import JobError
from jobs.runs.text import visible
from model.calibration import interval
from model.factors import Factors
from model.metrics import rmse

MEANING = {
    "folded_in": "the user is new to the model, or has rated since: it is by all ratings published",
    "content": "nothing was learned of the movie: it is by its genres, year and title",
    "popular": "nothing was learned of the user: this is the rating to expect of anybody",
    "mean": "nothing is known of the movie: this is the mean rating, and the user's own bias",
}


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The arguments of `nightreel predict`: one of its three forms."""
    parser = command_arguments(__doc__ or "")
    parser.add_argument("--user", type=source_id, help="the user's id")
    parser.add_argument("--movie", type=source_id, help="the movie's id")
    parser.add_argument("--rated", action="store_true", help="all movies that the user has rated")
    parser.add_argument("--pairs", type=Path, metavar="CSV", help="file of pairs to predict")
    parser.add_argument("--out", type=Path, metavar="CSV", help="file to write, with --pairs")
    arguments = parser.parse_args(argv)
    one, rated = arguments.movie is not None, arguments.rated
    single = arguments.user is not None and one != rated
    file = arguments.pairs is not None and arguments.out is not None
    mixed = (arguments.user or one or rated) and (arguments.pairs or arguments.out)
    if mixed or not (single or file):
        parser.error("expected --user with --movie or --rated, or --pairs with --out")
    return arguments


def predict_one(
    connection: duckdb.DuckDBPyConnection, factors: Factors, run: LatestRun, user: str, movie: str
) -> None:
    """Print the prediction for one pair, and the real rating if there is one."""
    user_id = require_user(connection, user)
    movie_id, title = require_movie(connection, movie)
    pair = np.array([user_id]), np.array([movie_id])
    rating, source = predict_pairs(factors, *pair)
    print(f"User {visible(user)}, {visible(title)}: predicted rating {rating[0]:.2f}")
    scale = factors.rating_min, factors.rating_max
    low, high = interval(rating, deviations(factors, *pair), 90, scale)
    if not np.isnan(low[0]):
        print(f"  in nine of ten such cases the rating lies from {low[0]:.2f} to {high[0]:.2f}")
    version = visible(run.model_version)
    print(f"  source: {source[0]}; model version {version}, release {run.release}")
    if source[0] in MEANING:
        print(f"  {MEANING[source[0]]}")
    query = "select rating, split from ratings where user_id = ? and movie_id = ?"
    real = connection.execute(query, [user_id, movie_id]).fetchone()
    if real:
        learned = learned_from(factors, run, real[1], source[0])
        known = ", and which the model has learned from" if learned else ""
        print(f"  real rating {real[0]:g}, which lies in the {visible(real[1])} split{known}")


def predict_rated(
    connection: duckdb.DuckDBPyConnection, factors: Factors, run: LatestRun, user: str
) -> None:
    """Print all ratings of a user beside their predictions, best rated first, then the RMSE."""
    user_id = require_user(connection, user)
    query = """
        select movie_id, title, rating, split, coalesce(epoch(rated_at)::bigint, -1),
            coalesce(source_movie_id, movie_id::varchar)
        from ratings left join movies using (movie_id)
        where user_id = ?
    """
    rated = connection.execute(query, [user_id]).fetchall()
    if not rated:
        raise JobError(f"User {user} has not rated any movie.")
    movie_ids = np.array([row[0] for row in rated])
    pairs = np.full(len(rated), user_id), movie_ids
    predicted, source = predict_pairs(factors, *pairs, np.array([row[4] for row in rated]))
    scale = factors.rating_min, factors.rating_max
    ends = zip(*interval(predicted, deviations(factors, *pairs), 90, scale), strict=True)
    columns = zip(rated, predicted, source, ends, strict=True)
    rows = [(*row[:4], p, s, between(*end), row[5]) for row, p, s, end in columns]
    rows.sort(key=lambda row: (-row[2], -row[4], row[0]))
    told = ["90% within"] if factors.knows_sd else []
    show_table(
        f"Movies rated by user {user}, model version {run.model_version}",
        ["Movie", "Title", "Rated", "Predicted", "Error", *told, "Split", "Source"],
        (
            (m, t, f"{r:g}", f"{p:.2f}", f"{p - r:+.2f}", *[inside] * len(told), sp, so)
            for _, t, r, sp, p, so, inside, m in rows
        ),
        numbers={"Movie", "Rated", "Predicted", "Error", *told},
    )
    print(f"RMSE over {len(rows)} ratings: {error_of(rows):.4f}")
    for split, part in groupby(sorted(rows, key=lambda row: row[3]), key=lambda row: row[3]):
        ratings = list(part)
        by = {row[5] for row in ratings}
        knows = all(learned_from(factors, run, split, source) for source in by)
        learned = ", which the model has learned from" if knows else ""
        print(f"  {visible(split)}: {error_of(ratings):.4f} over {len(ratings)}{learned}")


def between(low: float, high: float) -> str:
    """An interval as tables show it; nothing where none is known."""
    return "" if np.isnan(low) else f"{low:.2f} to {high:.2f}"


def learned_from(factors: Factors, run: LatestRun, split: str, source: str) -> bool:
    """Whether a prediction rests on ratings of a split: on all of its run, once refitted.

    A row that was folded in is made of all published ratings, one of a movie by what is known of it
    of none of the movie's. Of later runs' ratings nobody knows which were new.
    """
    if source in ("content", "mean"):
        return False
    refitted = factors.manifest.get("run_id") == run.run_id and "refit_ratings" in factors.manifest
    return split == "train" or refitted or source == "folded_in"


def movies_asked(
    arguments: argparse.Namespace,
    connection: duckdb.DuckDBPyConnection,
    user_id: int | None,
    known: tuple[Numbers | None, Numbers | None],
) -> NDArray[np.integer]:
    """Numbers of all movies that are to be predicted for; `known` as `predict_file` takes them."""
    if arguments.pairs:
        return movies_of(arguments.pairs, *known)
    if arguments.movie is not None:
        return np.array([require_movie(connection, arguments.movie)[0]])
    query = "select movie_id from ratings where user_id = ?"
    return connection.execute(query, [user_id]).fetchnumpy()["movie_id"]


def error_of(rows: list[tuple]) -> float:
    return rmse(np.array([row[4] for row in rows]), np.array([row[2] for row in rows]))


def main(argv: list[str] | None = None) -> None:
    """`nightreel predict`."""
    arguments = parse_arguments(argv)
    warehouse = warehouse_of(arguments)
    connection = connect(warehouse, ("runs", "users", "movies", "ratings"))
    run = latest_run(connection)
    # MLflow, which knows where versions lie, takes a second to import.
    from jobs.training.registry import Registry

    conf = load_configuration(warehouse=arguments.warehouse)
    learned = Registry(conf, warehouse, run.release).factors(run.model_version)
    if learned.manifest.get("implicit"):
        raise JobError(
            f"Release {run.release} holds no ratings, only who used what, so there is none to "
            "predict. What a user may want next: nightreel recommend --user ..."
        )
    user_id = arguments.user and require_user(connection, arguments.user)
    users, movies = (numbers_of(connection, entity) for entity in ("user", "movie"))
    asked = movies_asked(arguments, connection, user_id, (users, movies))
    factors = of_published(learned, connection, asked, user_id)
    if arguments.pairs:
        count = predict_file(factors, arguments.pairs, arguments.out, users, movies)
        print(f"{arguments.out}: {count:,} predictions of model version {run.model_version}.")
    elif arguments.rated:
        predict_rated(connection, factors, run, arguments.user)
    else:
        predict_one(connection, factors, run, arguments.user, arguments.movie)
