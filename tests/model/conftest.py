"""Ratings of two tastes in Parquet, and the spec of a training on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from model.family import load
from model.settings import TrainingSpec, chosen
from tests.servers.ranks import StandingRanks

USERS, MOVIES = 60, 40
BASE = yaml.safe_load((Path(__file__).resolve().parents[2] / "conf/base.yaml").read_text())["train"]
# What a small training needs otherwise than base.yaml has it.
CHANGES: dict[str, dict[str, Any]] = {
    "matrix_factorisation": {
        "factors": 4,
        "init_scale": 0.1,
        "regularisation": 0.02,
        "learning_rate": 0.02,
        "schedule": "constant",
        "decay": 0.5,
        "decay_epochs": 2,
        "batch_size": 256,
        "epochs": 12,
    },
    "bayesian": {"factors": 4, "width": 8, "burn_in": 10, "samples": 30},
    "svdpp": {
        "factors": 4,
        "init_scale": 0.1,
        "regularisation": 0.02,
        "learning_rate": 0.02,
        "schedule": "constant",
        "batch_size": 256,
        "epochs": 12,
    },
    "autoencoder": {
        "hidden": 8,
        "init_scale": 0.1,
        "input_dropout": 0.0,
        "penalty": 1,
        "learning_rate": 0.02,
        "schedule": "constant",
        "batch_size": 128,
        "epochs": 12,
    },
    "two_tower": {
        "embedding": 8,
        "hidden": [16],
        "factors": 8,
        "dropout": 0.0,
        "regularisation": 0.0,
        "learning_rate": 0.02,
        "schedule": "constant",
        "batch_size": 256,
        "epochs": 12,
    },
    "blend": {"members": ["bayesian", "matrix_factorisation", "svdpp"], "width": 8},
    "order_blend": {"members": ["ridge", "recency", "recency"], "width": None},
    "ridge": {"factors": 30, "penalty": 3},
    "item_linear": {"penalty": 3},
    "ials": {"factors": 16, "penalty": 0.001},
    "elsa": {"factors": 30, "learning_rate": 0.05, "batch_size": 128, "epochs": 30, "patience": 30},
    "vae": {
        "hidden": 128,
        "latent": 32,
        "prior": "normal",
        "divergence": 0.01,
        "divergence_by_user": False,
        "divergence_epochs": 0,
        "learning_rate": 0.02,
        "batch_size": 64,
        "epochs": 25,
        "patience": 25,
    },
    "prod2vec": {
        "width": 16,
        "window": 12,
        "reach": 1,
        "row_decay": 0.5,
        "learning_rate": 0.05,
        "batch_size": 128,
        "epochs": 20,
        "patience": 20,
    },
    "two_tower_order": {
        "hidden": [],
        "dropout": 0.2,
        "input_dropout": 0.0,
        "learning_rate": 0.03,
        "warmup_epochs": 2,
        "batch_size": 128,
        "epochs": 40,
        "patience": 40,
    },
    "visits": {"factors": 30, "penalty": 3},
    **{
        model: {
            "width": 16,
            "window": 12,
            "ridge_penalty": 3,
            "batch_size": 128,
            "warmup_epochs": 0,
            "epochs": 4,
        }
        for model in ("transformer", "gru", "convolution", "recency")
    },
}
# Models that learn from nothing but ratings of what the release says of movies.
TOLD = ("content",)
SHARED = {"seed": 1, "reading": "auto", "memory_rows": 1_000_000, "checkpoint_seconds": 60}


def values(model: str) -> dict[str, Any]:
    """A model's settings, and under `sections` those of its members if it has some."""
    own = BASE[model] | CHANGES.get(model, {})
    members = own.get("members", [])
    return own | ({"sections": {name: values(name) for name in members}} if members else {})


def settings(model: str = "matrix_factorisation", **changes: Any) -> Any:
    """A model's settings: those of base.yaml, with these changes."""
    return load(model).Settings(**BASE[model] | CHANGES.get(model, {}) | changes)


@pytest.fixture(scope="module")
def ratings():
    """1,500 ratings of two tastes and some noise; movie 39 and user 59 are never rated.

    A tenth has no time.
    """
    random = np.random.default_rng(0)
    pairs = random.permutation((USERS - 1) * (MOVIES - 1))[:1500]
    user, movie = (pairs // (MOVIES - 1)).astype(np.int32), (pairs % (MOVIES - 1)).astype(np.int32)
    taste = np.where(user % 2 == movie % 2, 1.0, -1.0)
    rating = np.clip(3 + taste + 0.3 * random.standard_normal(1500), 1, 5).astype(np.float32)
    at = np.where(random.random(1500) < 0.9, random.integers(0, 10**9, 1500), -1)
    return pa.table({"user_idx": user, "movie_idx": movie, "rating": rating, "rated_at": at})


@pytest.fixture(scope="module")
def histories():
    """25 ratings each of most users, as a rule each of the movie after that of the one before.

    The last one is test, the one before it validation. User 59 and movie 39 are in none.
    """
    random = np.random.default_rng(0)
    split = np.array([0] * 23 + [1, 2], np.int8)
    rows = []
    for user in range(USERS - 1):
        left = set(range(MOVIES - 1))
        movie = [random.choice(sorted(left))]
        for _ in split[1:]:
            left.remove(movie[-1])
            nearest = min(left, key=lambda other: (other - movie[-1]) % (MOVIES - 1))
            movie.append(nearest if random.random() < 0.9 else random.choice(sorted(left)))
        at = 1_000_000 + np.sort(random.integers(0, 5000, len(split)))
        rating = random.integers(1, 6, len(split)).astype(np.float32)
        rows.append((user, np.array(movie, np.int32), rating, at, split))
    names = ["user_idx", "movie_idx", "rating", "rated_at", "split"]
    return pa.Table.from_pydict(
        dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)),
        pa.schema(
            [
                ("user_idx", pa.int32()),
                ("movie_idx", pa.list_(pa.int32())),
                ("rating", pa.list_(pa.float32())),
                ("rated_at", pa.list_(pa.int64())),
                ("split", pa.list_(pa.int8())),
            ]
        ),
    )


def movies() -> pa.Table:
    """Titles, years and genres, of which the genre tells which of the two tastes likes a movie."""
    ids = np.arange(MOVIES, dtype=np.int32)
    return pa.table(
        {
            "movie_id": 10 * ids + 7,
            "title": [f"Movie {'of' if idx % 3 else 'and'} (1990)" for idx in ids],
            "year": pa.array([1990] * MOVIES, pa.int32()),
            "genres": [["Drama", "Comedy"][idx % 2 : idx % 2 + 1] for idx in ids],
        }
    )


def write(folder: Path, ratings: pa.Table, sizes: Sequence[int]) -> str:
    """Parquet files, one row group each, of these numbers of rows."""
    folder.mkdir(parents=True)
    for number, end in enumerate(np.cumsum(sizes)):
        rows = ratings.slice(end - sizes[number], sizes[number])
        pq.write_table(rows, folder / f"{number}.parquet")
    return str(folder)


@pytest.fixture
def spec(tmp_path, ratings, histories):
    def make(
        sizes=(880, 300, 20),
        by_user: bool = False,
        model: str = "matrix_factorisation",
        **changes,
    ) -> TrainingSpec:
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
            validation=write(splits / "split=validation", ratings.slice(1200), [200, 50, 50]),
            user_index=str(indexes["user"]),
            movie_index=str(indexes["movie"]),
            output=str(tmp_path / "factors"),
            checkpoints=str(tmp_path / "checkpoints"),
            events=None,
            rating_min=1,
            rating_max=5,
            movies=write(splits / "movies", movies(), [MOVIES]) if model in TOLD else None,
            **chosen(model, values(model) | SHARED | changes),
            provenance={"data": {"digest": "d"}},
            histories=write(splits / "histories", histories, [30, 20, 9]),
        )

    return make


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """Trains a spec by two ranks, which all tests of a file share, and returns what was said."""
    ranks = StandingRanks(2, tmp_path_factory.mktemp("ranks"))
    yield ranks
    ranks.end()
