"""A small search for the settings of training, on validation rows alone.

    nightreel ingest --run-id search --dataset ml-1m --source ../shared/data/ml-1m.zip \
        --set etl.train_share=0.85 --set etl.validation_share=0.05
    nightreel etl --run-id search
    PYTHONPATH=. python tests/benchmarks/training_search.py <warehouse> search [key=value,value ...]

Keys are those of `train.matrix_factorisation`, or of whichever model `train.model` names, and
`seed`. Trains every combination of the values, each over the defaults of `conf/`, and prints the
validation RMSE of its best epoch, best last. Without values: those around the defaults of matrix
factorisation, one at a time. Test rows are not read.
"""

import itertools
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from jobs.runs.configuration import load_configuration
from jobs.runs.run import open_run
from jobs.runs.warehouse import Warehouse
from jobs.training.specs import rating_spec
from model.settings import TrainingSpec, chosen
from model.training.loop import train

AROUND: dict[str, list[Any]] = {
    "batch_size": [1024, 4096],
    "learning_rate": [0.001, 0.004],
    "user_regularisation": [0.03, 0.08],
    "movie_regularisation": [0.03, 0.08],
    "bias_regularisation": [0.0, 0.02],
    "init_scale": [0.003, 0.05],
    "schedule": ["constant", "plateau"],
    "factors": [32, 128],
    "optimiser": ["adamax", "adagrad"],
    "gradients": ["sparse"],
    "seed": [8],
}


def candidates(words: list[str]) -> list[dict[str, Any]]:
    """The changes to try, from `key=value,value` of the command line."""
    if not words:
        return [{}] + [{key: value} for key, values in AROUND.items() for value in values]
    keys = [word.partition("=")[0] for word in words]
    values = [map(yaml.safe_load, word.partition("=")[2].split(",")) for word in words]
    return [dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*values)]


def try_out(spec: TrainingSpec, changes: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train with some settings changed; returns the metrics."""
    conf = load_configuration().train
    spec = replace(
        spec,
        **chosen(conf.model, conf.learning(conf.model) | changes),
        output=str(folder / "factors"),
        checkpoints=str(folder / "checkpoints"),
        events=None,
    )
    return train(spec)


def main() -> None:
    """Try all candidates."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    spec = rating_spec(open_run(Warehouse(Path(sys.argv[1]).resolve()), sys.argv[2]))
    found = []
    for changes in candidates(sys.argv[3:]):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            metrics = try_out(spec, changes, Path(folder))
        seconds = time.perf_counter() - start
        rmse = metrics["validation_rmse_clipped"]
        words = " ".join(f"{key}={value}" for key, value in changes.items()) or "the defaults"
        line = f"{rmse:.4f}  epoch {metrics['best_epoch']:>2}  {seconds:5.1f} s  {words}"
        found.append((rmse, line))
        print(f"==> {line}", flush=True)
    print("\n".join(line for _, line in sorted(found, reverse=True)))


if __name__ == "__main__":
    main()
