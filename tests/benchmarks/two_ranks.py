"""One rank beside two, a core each: how fast a member learns, and whether it learns as well.

    PYTHONPATH=. python tests/benchmarks/two_ranks.py ../shared/data/ml-1m.zip bayesian \
        [factors=64 samples=20 ...]
    PYTHONPATH=. python tests/benchmarks/two_ranks.py ../shared/data/ml-1m.zip transformer \
        --split leave-last-out [epochs=3 ...]

Members learn from the release with the settings of conf/, but for those that are given: models of
ratings from the deal by hash (80/10/10), models of order from histories that are split as is said,
of ml-1m in the order of ml-1m-order.csv.gz beside it. A rank has one thread. Speed is that of the
fastest epoch or sweep, validation left out where the loop leaves it out; it counts ratings, of
which each is a target of a model of order. Validation figures are the best of each training.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from model.family import ORDER_MODELS
from model.settings import TrainingSpec
from tests.benchmarks import accuracy, order_data, rating_data
from tests.servers.ranks import launcher

# Of which one that a training has is shown, and whether more is better.
FIGURES = {"validation_ndcg": max, "validation_rmse_clipped": min}


def inputs(arguments: argparse.Namespace, folder: Path, changes: dict[str, Any]) -> TrainingSpec:
    """Write what etl would, and the spec of a training on it."""
    if arguments.member not in ORDER_MODELS:
        dealt = rating_data.deal(arguments.release, "random")
        rating_data.write_inputs(dealt, folder)
        return accuracy.spec_of(arguments.member, folder, dealt, changes)
    order = arguments.release.parent / "ml-1m-order.csv.gz"
    ordered = arguments.release.stem == "ml-1m" and arguments.split == "leave-last-out"
    ratings = order_data.in_order(arguments.release, order) if ordered else None
    shown = order_data.release(arguments.release, ratings)
    order_data.write_inputs(shown, order_data.split(shown.histories, arguments.split), folder)
    return order_data.spec_of(arguments.member, folder, 7, **changes)


Epochs = list[dict[str, Any]]


def histories(spec: TrainingSpec, ranks: int, trainings: int = 1) -> list[Epochs]:
    """The figures of each epoch or sweep of so many trainings at the same time."""
    outputs = [Path(f"{spec.output}-{ranks}-{trainings}-{number}") for number in range(trainings)]
    running = []
    for output in outputs:
        file = output.with_suffix(".json")
        told = {"output": str(output), "checkpoints": f"{output}.checkpoints"}
        file.write_text(json.dumps(asdict(spec) | told))
        command = [*launcher(ranks), sys.executable, "-m", "model.training.worker", str(file)]
        threads = os.environ | {"OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=threads))
    if any([training.wait() for training in running]):
        sys.exit("A training failed.")
    manifests = [json.loads((output / "manifest.json").read_text()) for output in outputs]
    return [manifest["manifest"]["history"] for manifest in manifests]


def speed(epochs: Epochs) -> int:
    return max(figures["ratings_per_second"] for figures in epochs)


def main() -> None:
    """Train with one rank and with two, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("member")
    parser.add_argument("settings", nargs="*", metavar="setting=value")
    parser.add_argument("--split", default="next-visit", help="of a model of order")
    parser.add_argument("--repeats", type=int, default=1, help="the fastest of each counts")
    arguments = parser.parse_intermixed_args()
    words = [word.partition("=") for word in arguments.settings]
    changes = {key: yaml.safe_load(value) for key, _, value in words}
    with tempfile.TemporaryDirectory(prefix="nightreel-ranks-") as folder:
        spec = inputs(arguments, Path(folder), changes)
        ones, twos, limits = [], [], []
        # In turn, so that a slow minute of the machine is everybody's.
        for _ in range(arguments.repeats):
            ones += histories(spec, 1)
            twos += histories(spec, 2)
            limits.append(sum(map(speed, histories(spec, 1, trainings=2))))
        one, two, limit = max(ones, key=speed), max(twos, key=speed), max(limits)
        (name,) = (name for name in FIGURES if name in one[0])
        for ranks, epochs in ((1, one), (2, two)):
            best = FIGURES[name](figures[name] for figures in epochs)
            print(
                f"{arguments.member}, {ranks} rank(s): {speed(epochs):10,} ratings/s, "
                f"{speed(epochs) / speed(one):.2f} x one; {name} {best:.4f} "
                f"after {len(epochs)} epochs or sweeps"
            )
        print(f"two trainings at once:   {limit:10,} ratings/s, {limit / speed(one):.2f} x one")


if __name__ == "__main__":
    main()
