"""What is left when writing is cut short, and what a killed training becomes."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.factors import load_factors
from model.settings import TrainingSpec
from model.training.checkpoints import load_checkpoint, save_checkpoint
from tests.servers.ranks import launcher, one_rank, said


def state(epoch: int) -> dict:
    return {"fingerprint": "f", "epoch": epoch, "table": torch.full((50, 50), float(epoch))}


def test_a_truncated_checkpoint_is_passed_over_for_the_one_before(tmp_path):
    said: list[str] = []
    for epoch in (1, 2):
        save_checkpoint(tmp_path, state(epoch), said.append)
    found = load_checkpoint(tmp_path, "f", said.append)
    assert found
    assert found["epoch"] == 2
    assert not said
    for file, left in (("latest.pt", 1), ("previous.pt", None)):
        os.truncate(tmp_path / file, (tmp_path / file).stat().st_size - 5)
        found = load_checkpoint(tmp_path, "f", said.append)
        assert (found and found["epoch"]) == left
        assert f"{tmp_path / file} is not whole and is passed over." in said


def test_a_checkpoint_of_other_settings_or_data_is_passed_over(tmp_path):
    said: list[str] = []
    save_checkpoint(tmp_path, state(1), said.append)
    assert load_checkpoint(tmp_path, "g", said.append) is None
    assert "of other settings or other data" in said[0]


def test_a_disk_that_refuses_leaves_the_last_checkpoint(tmp_path):
    said: list[str] = []
    assert save_checkpoint(tmp_path, state(1), said.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        assert not save_checkpoint(tmp_path, state(2), said.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"no checkpoint could be written to {tmp_path}: File too large." in said[0]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["latest.pt"]
    found = load_checkpoint(tmp_path, "f", said.append)
    assert found
    assert found["epoch"] == 1


def test_a_disk_that_refuses_the_model_leaves_none(spec, tmp_path):
    chosen = spec(epochs=2, factors=32)
    file = tmp_path / "spec.json"
    # More than it says, and less than the embeddings of 60 users.
    process = one_rank(chosen, file, file_bytes=4096)
    process.join(100)
    assert process.exitcode == 1
    # Of an array that is cut short, NumPy says how much of it was written.
    sentence = f"The trained model could not be written to {chosen.output}: 1920 requested and "
    assert sentence in said(file)
    assert not list(tmp_path.glob("*factors*"))
    one_rank(chosen, file).join(100)
    assert load_factors(Path(chosen.output)).manifest["metrics"]["epochs"] == 2


@contextmanager
def begun(spec: TrainingSpec, file: Path, ranks: int) -> Iterator[None]:
    """While a training runs, by ranks of its own; all of it is killed at the end."""
    if ranks == 1:
        process = one_rank(spec, file)
        yield
        process.kill()
        process.join(10)
        return
    file.write_text(json.dumps(asdict(spec)))
    with subprocess.Popen(
        [*launcher(ranks), sys.executable, "-m", "model.training.worker", str(file)],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    ) as launched:
        yield
        # The launcher and all ranks have the file in their command lines.
        subprocess.run(["pkill", "-KILL", "-f", str(file)], check=True)
        launched.wait(10)


@pytest.mark.parametrize(
    ("ranks", "gradients", "exchange"),
    [
        (1, "dense", "auto"),
        (1, "sparse", "auto"),
        (2, "dense", "strata"),
        (2, "sparse", "strata"),
        (2, "sparse", "step"),
    ],
)
def test_killed_and_started_again_it_ends_as_if_never_stopped(
    spec, tmp_path, two_ranks, ranks, gradients, exchange
):
    # Steps of 4 ratings: the kill hits the middle of an epoch of 300 steps.
    chosen = spec(
        by_user=True,
        batch_size=4,
        epochs=8,
        patience=8,
        gradients=gradients,
        exchange=exchange,
        checkpoint_seconds=0,
        dropout=0.1,
    )
    file = tmp_path / "spec.json"

    def train(spec: TrainingSpec) -> str:
        if ranks == 2:
            return two_ranks(spec)
        one_rank(spec, file).join(100)
        return said(file)

    train(chosen)
    whole = load_factors(Path(chosen.output))
    user_UK, history = np.array(whole.user_UK), whole.manifest["history"]
    again = replace(chosen, output=str(tmp_path / "again"))
    latest = Path(again.checkpoints) / "latest.pt"
    with begun(again, file, ranks):
        while not latest.exists():
            time.sleep(0.01)
        time.sleep(0.1)
    assert not Path(again.output).exists()
    assert "going on from a checkpoint: epoch" in train(again)
    resumed = load_factors(Path(again.output))
    np.testing.assert_array_equal(resumed.user_UK, user_UK)
    for name in ("train_loss", "validation_loss"):
        assert [e[name] for e in resumed.manifest["history"]] == [e[name] for e in history]
    # A later attempt is a training of its own.
    assert not latest.exists()


def test_other_settings_are_another_training(spec):
    chosen = spec()
    other = replace(chosen.settings, learning_rate=0.01)
    assert replace(chosen, settings=other).fingerprint != chosen.fingerprint
    assert replace(chosen, provenance={"data": "new"}).fingerprint != chosen.fingerprint
    assert replace(chosen, output="elsewhere").fingerprint == chosen.fingerprint
