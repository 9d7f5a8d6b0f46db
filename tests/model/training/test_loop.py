"""Training on real Parquet, through petastorm, with real Horovod ranks."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from model.factors import load_factors
from model.metrics import rmse
from model.settings import TrainingSpec
from model.training.loop import train
from tests.servers.ranks import launcher


def train_with_ranks(spec: TrainingSpec, ranks: int, file: Path) -> subprocess.CompletedProcess:
    file.write_text(json.dumps(asdict(spec)))
    command = [*launcher(ranks), sys.executable, "-m", "model.training.worker", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_learns_and_keeps_the_best_epoch(spec, ratings):
    chosen = spec(epochs=40)
    metrics = train(chosen)
    factors = load_factors(Path(chosen.output))
    losses = [epoch["validation_loss"] for epoch in factors.manifest["history"]]
    assert metrics["best_epoch"] == 1 + losses.index(min(losses))
    assert len(losses) - metrics["best_epoch"] in (0, chosen.settings.patience)
    held_out = ratings.slice(1200)
    predicted = factors.predict(held_out["user_idx"].to_numpy(), held_out["movie_idx"].to_numpy())
    # The saved weights are those of the best epoch, not of the last. Noise alone gives 0.3.
    error = rmse(predicted, held_out["rating"].to_numpy())
    assert error == pytest.approx(metrics["validation_rmse_clipped"], abs=1e-5)
    assert error < 0.6


def test_one_that_is_worse_than_it_may_be_is_given_up_and_says_so(spec):
    chosen = spec(epochs=3)
    whole = train(replace(chosen, ceilings=[100.0]))
    assert whole["epochs"] == 3
    assert "given_up" not in whole
    metrics = train(replace(chosen, ceilings=[None, 0.0, 0.0]))
    assert metrics["epochs"] == 2
    assert metrics["given_up"]
    # One that has ended by itself was not given up, however bad it is.
    assert "given_up" not in train(replace(chosen, ceilings=[None, None, 0.0]))


def test_rows_without_ratings_hold_no_random_weights(spec):
    chosen = spec(epochs=1)
    train(chosen)
    factors = load_factors(Path(chosen.output))
    assert not factors.user_trained_U[59]
    assert not factors.movie_trained_M[39]
    assert not factors.user_UK[59].any()
    assert not factors.movie_MK[39].any()
    assert factors.user_UK[58].any()
    assert factors.popular_M[39] == pytest.approx(factors.train_mean)
    assert factors.user_ids_U[2] == 27


@pytest.mark.parametrize("optimiser", ["adam", "adamax", "adagrad", "sgd"])
@pytest.mark.parametrize("gradients", ["dense", "sparse"])
def test_without_biases_the_score_is_the_dot_product(spec, optimiser, gradients):
    chosen = spec(biases=False, optimiser=optimiser, gradients=gradients, epochs=2)
    train(chosen)
    factors = load_factors(Path(chosen.output))
    assert factors.mean == 0
    assert not factors.user_bias_U.any()
    score = factors.predict(np.array([3]), np.array([4]), clip=False)
    assert score[0] == pytest.approx(float(factors.user_UK[3] @ factors.movie_MK[4]), rel=1e-5)


@pytest.mark.parametrize("changes", [{}, {"gradients": "sparse", "dropout": 0.2}])
def test_same_seed_same_model(spec, changes):
    chosen = spec(epochs=2, **changes)
    train(chosen)
    first = np.array(load_factors(Path(chosen.output)).user_UK)
    train(chosen)
    np.testing.assert_array_equal(first, load_factors(Path(chosen.output)).user_UK)


@pytest.mark.parametrize(
    ("gradients", "compression"), [("dense", "none"), ("dense", "fp16"), ("sparse", "bf16")]
)
def test_two_uneven_ranks_learn_what_one_learns(spec, two_ranks, gradients, compression):
    # One step an epoch: the sum of the ranks' gradients must be the gradient over all rows.
    chosen = spec(batch_size=1200, epochs=5, gradients=gradients, compression=compression)
    train(chosen)
    alone = load_factors(Path(chosen.output))
    user_UK, history = np.array(alone.user_UK), alone.manifest["history"]
    assert "2 rank(s) with 900, 300" in two_ranks(chosen)
    both = load_factors(Path(chosen.output))
    np.testing.assert_allclose(both.user_UK, user_UK, atol=2e-3)
    assert [e["validation_loss"] for e in both.manifest["history"]] == pytest.approx(
        [e["validation_loss"] for e in history], abs=1e-3
    )


@pytest.mark.parametrize(
    ("gradients", "reading"), [("dense", "memory"), ("sparse", "memory"), ("sparse", "stream")]
)
def test_users_whose_ratings_lie_on_one_rank_are_moved_there_and_told(
    spec, two_ranks, gradients, reading
):
    chosen = spec(
        by_user=True,
        batch_size=1200,
        epochs=5,
        gradients=gradients,
        reading=reading,
        exchange="step",
    )
    train(chosen)
    alone = load_factors(Path(chosen.output))
    user_UK, history = np.array(alone.user_UK), alone.manifest["history"]
    two_ranks(chosen)
    both = load_factors(Path(chosen.output))
    np.testing.assert_allclose(both.user_UK, user_UK, atol=1e-4)
    assert [e["validation_loss"] for e in both.manifest["history"]] == pytest.approx(
        [e["validation_loss"] for e in history], abs=1e-4
    )


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_that_take_turns_learn_as_well_as_one(spec, tmp_path, ranks):
    chosen = spec(by_user=True, batch_size=60, epochs=20, gradients="sparse", exchange="strata")
    alone = train(chosen)["validation_rmse"]
    run = train_with_ranks(chosen, ranks, tmp_path / "spec.json")
    assert run.returncode == 0, run.stderr
    assert f"it learns by sparse gradients in strata of {ranks}" in run.stdout
    both = load_factors(Path(chosen.output))
    assert both.manifest["metrics"]["validation_rmse"] == pytest.approx(alone, abs=0.03)
    assert both.user_UK[:59].any(axis=1).all()
    assert both.movie_MK[:39].any(axis=1).all()


def test_ranks_that_share_users_cannot_take_turns(spec, tmp_path):
    run = train_with_ranks(spec(exchange="strata"), 2, tmp_path / "spec.json")
    assert run.returncode != 0
    assert "exchange is strata, but 5" in run.stdout + run.stderr


def test_a_rank_without_rows_in_most_steps_keeps_up(spec, two_ranks):
    # 17 steps of 2 ratings: the second rank has a rating in the first 3 alone, and must enter
    # every allreduce all the same.
    chosen = spec(sizes=(30, 3), batch_size=2, epochs=1)
    assert "2 rank(s) with 30, 3" in two_ranks(chosen)
    trained = load_factors(Path(chosen.output))
    [epoch] = trained.manifest["history"]
    assert np.isfinite([epoch["train_loss"], epoch["validation_loss"]]).all()
    assert np.isfinite(trained.user_UK).all()


def test_a_loss_that_is_not_finite_stops_at_its_step(spec):
    chosen = spec(optimiser="sgd", learning_rate=1e9, epochs=3)
    with pytest.raises(ValueError, match=r"at step \d of epoch 1, at learning rate 1e\+09\."):
        train(chosen)
    assert not Path(chosen.output).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "huber", "huber_delta": 0.5},
        {"precision": "bf16"},
        {"dropout": 0.2},
        {"schedule": "cosine", "warmup_epochs": 1},
        {"movie_regularisation": 0.001, "bias_regularisation": 0.0},
        {"reading": "stream", "memory_rows": 100},
    ],
)
def test_what_people_try_learns_too(spec, changes):
    metrics = train(spec(epochs=25, patience=25, gradients="sparse", **changes))
    assert metrics["validation_rmse_clipped"] < 0.65


def test_the_curves_are_there_for_tensorboard(spec, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    chosen = replace(spec(epochs=3), events=str(tmp_path / "events"))
    for _ in range(2):
        train(chosen)
    curves = EventAccumulator(str(tmp_path / "events")).Reload()
    history = load_factors(Path(chosen.output)).manifest["history"]
    for name in ("train_loss", "validation_loss", "learning_rate"):
        points = curves.Scalars(name)
        assert [point.step for point in points] == [1, 2, 3]
        assert [point.value for point in points] == pytest.approx([e[name] for e in history])
