"""A run of a few ratings that models of ratings learn from within a moment."""

from collections.abc import Callable

import numpy as np
import pytest

from jobs.runs.files import write_json
from jobs.runs.run import Run
from jobs.runs.schemas import INDEXED_RATINGS, MOVIE_INDEX, MOVIES, USER_INDEX
from model.data.histories import Histories, write_histories
from tests.jobs.examples import small_run, write

USERS, FILMS = 20, 15
SPLITS = ("train", "train", "train", "validation", "test")


def rating(user: int, movie: int) -> float:
    """What anybody thinks of a movie, but that every second user finds all of them better."""
    return float(1 + movie % 4 + user % 2)


@pytest.fixture
def tiny(tmp_path) -> Callable[..., Run]:
    """A run that has been through etl, with these settings; no order can be measured by it."""

    def made(*overrides: str) -> Run:
        run = small_run(tmp_path, overrides=["compare.members=[biases]", *overrides])
        record = {"order_users": 0, "order_validation_users": 0, "ratings": USERS * FILMS}
        write_json(run.record_file("etl"), record | {"rating_min": 1, "rating_max": 5})
        write(run.data("user_index"), USER_INDEX, {}, [(n + 1, n) for n in range(USERS)])
        write(run.data("movie_index"), MOVIE_INDEX, {}, [(n + 1, n) for n in range(FILMS)])
        titles = [(n + 1, f"Movie {n}", 1990, ["Drama"]) for n in range(FILMS)]
        write(run.data("movies"), MOVIES, {}, titles)
        pairs = [(user, movie) for user in range(USERS) for movie in range(FILMS)]
        for split in set(SPLITS):
            own = [pair for pair in pairs if SPLITS[sum(pair) % 5] == split]
            rows = [(user, movie, rating(user, movie), 10) for user, movie in own]
            write(run.data("splits"), INDEXED_RATINGS, {"split": split}, rows, "part-0.parquet")
        movie_N = np.tile(np.arange(FILMS, dtype=np.int32), USERS)
        rating_N = np.array([rating(*pair) for pair in pairs], np.float32)
        offset_U1 = np.arange(0, USERS * FILMS + 1, FILMS)
        nothing_N = np.zeros(USERS * FILMS, np.int8)
        users = np.arange(USERS, dtype=np.int32)
        histories = Histories(users, offset_U1, movie_N, rating_N, nothing_N + 10, nothing_N)
        write_histories(histories, run.data("histories"), 1)
        return run

    return made
