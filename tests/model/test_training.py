"""Training on real Parquet, through petastorm, with real Horovod ranks."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.factors import load_factors
from model.metrics import rmse
from model.specification import TrainingSettings, TrainingSpec
from model.training import train

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
    def make(sizes=(880, 300, 20), **changes) -> TrainingSpec:
        splits = tmp_path / "a folder"
        indexes = {}
        for entity, size in (("user", USERS), ("movie", MOVIES)):
            ids = np.arange(size, dtype=np.int32)
            indexes[entity] = tmp_path / f"{entity}_index"
            indexes[entity].mkdir()
            table = pa.table({f"{entity}_id": 10 * ids + 7, f"{entity}_idx": ids})
            pq.write_table(table, indexes[entity] / "0.parquet")
        return TrainingSpec(
            # Uneven on purpose: of two ranks, the first gets 900 rows and the second 300.
            train=write(splits / "split=train", ratings.slice(0, 1200), sizes),
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


def train_with_ranks(spec: TrainingSpec, ranks: int, file: Path) -> subprocess.CompletedProcess:
    file.write_text(json.dumps(asdict(spec)))
    horovodrun = str(Path(sys.executable).with_name("horovodrun"))
    command = [horovodrun, "-np", str(ranks), "--gloo", sys.executable, "-m", "model.training"]
    command.append(str(file))
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_learns_and_keeps_the_best_epoch(spec, ratings):
    chosen = spec(epochs=40)
    metrics = train(chosen)
    factors = load_factors(Path(chosen.output))
    losses = [epoch["validation_loss"] for epoch in factors.manifest["history"]]
    assert metrics["best_epoch"] == 1 + losses.index(min(losses))
    assert len(losses) - metrics["best_epoch"] in (0, SETTINGS["patience"])
    held_out = ratings.slice(1200)
    predicted = factors.predict(held_out["user_idx"].to_numpy(), held_out["movie_idx"].to_numpy())
    # The saved weights are those of the best epoch, not of the last. Noise alone gives 0.3.
    error = rmse(predicted, held_out["rating"].to_numpy())
    assert error == pytest.approx(metrics["validation_rmse_clipped"], abs=1e-5)
    assert error < 0.6


def test_rows_without_ratings_hold_no_random_weights(spec):
    chosen = spec(epochs=1)
    train(chosen)
    factors = load_factors(Path(chosen.output))
    assert not factors.user_trained_U[59]
    assert not factors.movie_trained_M[39]
    assert not factors.user_UK[59].any()
    assert not factors.movie_MK[39].any()
    assert factors.user_UK[58].any()
    assert factors.popular_M[39] == pytest.approx(factors.manifest["train_mean"])
    assert factors.user_ids_U[2] == 27


@pytest.mark.parametrize("optimiser", ["adam", "adamax", "sgd"])
def test_without_biases_the_score_is_the_dot_product(spec, optimiser):
    chosen = spec(biases=False, optimiser=optimiser, epochs=2)
    train(chosen)
    factors = load_factors(Path(chosen.output))
    assert factors.mean == 0
    assert not factors.user_bias_U.any()
    score = factors.predict(np.array([3]), np.array([4]), clip=False)
    assert score[0] == pytest.approx(float(factors.user_UK[3] @ factors.movie_MK[4]), rel=1e-5)


def test_same_seed_same_model(spec, tmp_path):
    chosen = spec(epochs=2)
    train(chosen)
    first = np.array(load_factors(Path(chosen.output)).user_UK)
    train(chosen)
    np.testing.assert_array_equal(first, load_factors(Path(chosen.output)).user_UK)


def test_two_uneven_ranks_learn_what_one_learns(spec, tmp_path):
    # One step an epoch: the sum of the ranks' gradients must be the gradient over all rows.
    chosen = spec(batch_size=1200, epochs=5)
    train(chosen)
    alone = load_factors(Path(chosen.output))
    user_UK, history = np.array(alone.user_UK), alone.manifest["history"]
    run = train_with_ranks(chosen, 2, tmp_path / "spec.json")
    assert run.returncode == 0, run.stderr
    assert "2 rank(s) with 900, 300" in run.stdout
    both = load_factors(Path(chosen.output))
    np.testing.assert_allclose(both.user_UK, user_UK, atol=2e-3)
    assert [e["validation_loss"] for e in both.manifest["history"]] == pytest.approx(
        [e["validation_loss"] for e in history], abs=1e-3
    )


def test_a_rank_without_rows_in_most_steps_keeps_up(spec, tmp_path):
    # 17 steps of 2 ratings: the second rank has a rating in the first 3 alone, and must enter
    # every allreduce all the same.
    chosen = spec(sizes=(30, 3), batch_size=2, epochs=1)
    run = train_with_ranks(chosen, 2, tmp_path / "spec.json")
    assert run.returncode == 0, run.stderr
    assert "2 rank(s) with 30, 3" in run.stdout
    trained = load_factors(Path(chosen.output))
    [epoch] = trained.manifest["history"]
    assert np.isfinite([epoch["train_loss"], epoch["validation_loss"]]).all()
    assert np.isfinite(trained.user_UK).all()


def test_a_loss_that_is_not_finite_stops_with_a_sentence(spec, tmp_path):
    chosen = spec(optimiser="sgd", learning_rate=1e9, epochs=3)
    with pytest.raises(ValueError, match="learning rate 1e"):
        train(chosen)
    assert not Path(chosen.output).exists()
