"""How near predicted ratings come, and in how many seconds: the members of the family side by side.

    nightreel ingest --run-id fold --dataset ml-1m --source ../shared/data/ml-1m.zip \
        --profile accurate --set etl.split=kfold --set etl.split_seed=0 --set etl.folds=10 \
        --set etl.fold=1
    nightreel etl --run-id fold
    PYTHONPATH=. python tests/benchmarks/accuracy.py <warehouse> fold [key=value ...]

Keys are those of `train.bayesian`. Every model learns from the training ratings with the settings
of `conf/`, and validation ratings decide when it ends; the last row is `bayesian` once more, from
training and validation ratings together and for as many sweeps. RMSE is of clipped predictions, and
that on the test ratings is read once per row; seconds are of one thread's processor time.
"""

import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jobs.runs.configuration import load_configuration
from jobs.runs.run import open_run
from jobs.runs.warehouse import Warehouse
from jobs.train import training_spec
from model.data.ratings import read_ratings
from model.factors import load_factors
from model.metrics import rmse
from model.settings import SHARED, TrainingSpec, chosen
from model.training.loop import train

MODELS = ("biases", "matrix_factorisation", "bayesian")


def both(spec: TrainingSpec, folder: Path) -> str:
    """A folder with the files of training and validation ratings."""
    folder.mkdir()
    for split in (spec.train, spec.validation):
        for file in Path(split).glob("*.parquet"):
            shutil.copy(file, folder / f"{Path(split).name}-{file.name}")
    return str(folder)


def row(name: str, spec: TrainingSpec, test: Path) -> tuple[str, int]:
    """Train; a line of the table, and how many epochs or sweeps it took."""
    start = time.process_time()
    metrics = train(spec)
    seconds = time.process_time() - start
    ratings = read_ratings(test)
    predicted = load_factors(Path(spec.output)).predict(
        ratings.user_N.numpy().astype(np.int32), ratings.movie_N.numpy().astype(np.int32)
    )
    error = rmse(predicted, ratings.rating_N.numpy())
    # What was learned from says nothing.
    validation = f"{metrics['validation_rmse_clipped']:.4f}" if "all" not in name else "      "
    line = f"{name:<24} {metrics['epochs']:>6} {seconds:>8.1f} {validation:>11} {error:>8.4f}"
    return line, metrics["epochs"]


def main() -> None:
    """Train every model, and print the table."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    run = open_run(Warehouse(Path(sys.argv[1]).resolve()), sys.argv[2])
    changes = {key: yaml.safe_load(value) for key, value in (w.split("=") for w in sys.argv[3:])}
    conf = load_configuration().train
    shared: dict[str, Any] = {name: getattr(conf, name) for name in SHARED}
    lines, sweeps = [], 0
    with tempfile.TemporaryDirectory() as folder:
        spec = replace(training_spec(run), checkpoints=f"{folder}/checkpoints", events=None)
        for model in MODELS:
            own = conf.of(model) | (changes if model == "bayesian" else {})
            spec = replace(spec, output=f"{folder}/{model}", **chosen(model, own | shared))
            line, sweeps = row(model, spec, run.split("test"))
            lines.append(line)
        settings = replace(spec.settings, samples=sweeps - spec.settings.burn_in, patience=sweeps)
        spec = replace(
            spec,
            settings=settings,
            train=both(spec, Path(folder) / "both"),
            output=f"{folder}/all",
        )
        lines.append(row("bayesian, all but test", spec, run.split("test"))[0])
    heads = f"{'model':<24} {'epochs':>6} {'seconds':>8} {'validation':>11} {'test':>8}"
    print("\n".join([heads, *lines]))


if __name__ == "__main__":
    main()
