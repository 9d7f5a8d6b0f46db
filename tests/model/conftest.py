"""Ratings of two tastes in Parquet, and the spec of a training on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.settings import TrainingSettings, TrainingSpec

USERS, MOVIES = 60, 40
SETTINGS: dict[str, Any] = {
    "factors": 4,
    "biases": True,
    "init_scale": 0.1,
    "dropout": 0.0,
    "loss": "mse",
    "huber_delta": 1.0,
    "regularisation": 0.02,
    "user_regularisation": None,
    "movie_regularisation": None,
    "bias_regularisation": None,
    "optimiser": "adam",
    "learning_rate": 0.02,
    "schedule": "constant",
    "decay": 0.5,
    "decay_epochs": 2,
    "warmup_epochs": 0,
    "batch_size": 256,
    "epochs": 12,
    "patience": 3,
    "seed": 1,
    "gradients": "auto",
    "compression": "none",
    "precision": "float32",
    "reading": "auto",
    "memory_rows": 1_000_000,
    "checkpoint_seconds": 60,
}


@pytest.fixture(scope="module")
def ratings():
    """1,500 ratings of two tastes and some noise; movie 39 and user 59 are never rated."""
    random = np.random.default_rng(0)
    pairs = random.permutation((USERS - 1) * (MOVIES - 1))[:1500]
    user, movie = (pairs // (MOVIES - 1)).astype(np.int32), (pairs % (MOVIES - 1)).astype(np.int32)
    taste = np.where(user % 2 == movie % 2, 1.0, -1.0)
    rating = np.clip(3 + taste + 0.3 * random.standard_normal(1500), 1, 5).astype(np.float32)
    return pa.table({"user_idx": user, "movie_idx": movie, "rating": rating})


def write(folder: Path, ratings: pa.Table, sizes: Sequence[int]) -> str:
    """Parquet files, one row group each, of these numbers of rows."""
    folder.mkdir(parents=True)
    for number, end in enumerate(np.cumsum(sizes)):
        rows = ratings.slice(end - sizes[number], sizes[number])
        pq.write_table(rows, folder / f"{number}.parquet")
    return str(folder)


@pytest.fixture
def spec(tmp_path, ratings):
    def make(sizes=(880, 300, 20), by_user: bool = False, **changes) -> TrainingSpec:
        splits = tmp_path / "a folder"
        learned = ratings.slice(0, 1200)
        if by_user:
            # As etl deals them: all ratings of a user in one file.
            owner = learned["user_idx"].to_numpy() % 3
            learned, sizes = learned.take(np.argsort(owner, kind="stable")), np.bincount(owner)
        indexes = {}
        for entity, size in (("user", USERS), ("movie", MOVIES)):
            ids = np.arange(size, dtype=np.int32)
            indexes[entity] = tmp_path / f"{entity}_index"
            indexes[entity].mkdir()
            table = pa.table({f"{entity}_id": 10 * ids + 7, f"{entity}_idx": ids})
            pq.write_table(table, indexes[entity] / "0.parquet")
        return TrainingSpec(
            # Uneven on purpose: of two ranks, the first gets 900 rows and the second 300.
            train=write(splits / "split=train", learned, sizes),
            validation=write(splits / "split=validation", ratings.slice(1200), [250, 50]),
            user_index=str(indexes["user"]),
            movie_index=str(indexes["movie"]),
            output=str(tmp_path / "factors"),
            checkpoints=str(tmp_path / "checkpoints"),
            events=None,
            rating_min=1,
            rating_max=5,
            settings=TrainingSettings(**SETTINGS | changes),
            provenance={"data": {"digest": "d"}},
        )

    return make
