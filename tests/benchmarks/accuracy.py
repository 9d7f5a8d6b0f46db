"""RMSE of predicted ratings beside the default model and the biases, on one split of a release.

    PYTHONPATH=. python tests/benchmarks/accuracy.py ../shared/data/ml-1m.zip kfold \
        [bayesian factors=64 ...] [--held | --sweeps=300 | --validation] [--logs]

Reads the zip without Spark and deals its ratings as etl does: `kfold` is fold 0 of scikit-learn's
KFold(10, shuffle=True, random_state=0) over the file's order, with 5% of all ratings for
validation, `kfold-2` is fold 1; `random` the default deal by hash, 80/10/10; `u1` to `u5` are those
of ml-100k, with a ninth of the rest for validation, by hash.

Each model learns from the training ratings with the settings of conf/, those given for the member
laid over them, and validation decides when it ends. The member then learns once more, from training
and validation ratings together, in the way that these have chosen, as a nightly run's refit does;
with `--held` it does not, and with `--sweeps` it learns in this way alone: a sampler of which an
earlier run has chosen the sweeps. Test ratings are read once for each row of the table, by
predictions at their own times, clipped to the scale; with `--validation` the member alone is
trained and they are not read, as settings are chosen. Seconds are those of the process on its
CPUs, and those that passed.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from jobs.cleaning.file_order import TEST, TRAIN, VALIDATION
from jobs.runs.configuration import load_configuration
from model.factors import load_factors
from model.metrics import rmse
from model.settings import Course, TrainingSpec, chosen
from model.training.loop import train
from tests.benchmarks.rating_data import Dealt, deal, write_inputs


@dataclass(frozen=True)
class Result:
    """A row of the table."""

    name: str
    validation: float | None
    test: float | None
    rounds: int
    cpu: float
    seconds: float


def spec_of(member: str, folder: Path, dealt: Dealt, changes: dict[str, Any]) -> TrainingSpec:
    """A training of a member with the settings of conf/, but for these changes.

    A key is the member's own, or, with a dot in it, of the section that it names.
    """
    sections = {key if "." in key else f"{member}.{key}": value for key, value in changes.items()}
    conf = load_configuration([f"train.{key}={json.dumps(v)}" for key, v in sections.items()]).train
    learning = conf.learning(member) | {"checkpoint_seconds": 1e9}
    return TrainingSpec(
        **chosen(member, learning),
        train=str(folder / "train"),
        validation=str(folder / "validation"),
        user_index=str(folder / "user_index.parquet"),
        movie_index=str(folder / "movie_index.parquet"),
        users=str(folder / "users.parquet") if "users" in dealt.tables else None,
        movies=str(folder / "movies.parquet") if "movies" in dealt.tables else None,
        output=str(folder / "factors"),
        checkpoints=str(folder / "checkpoints"),
        events=None,
        rating_min=float(dealt.ratings["rating"].min()),
        rating_max=float(dealt.ratings["rating"].max()),
        provenance={"benchmark": str(folder)},
    )


def measure(name: str, spec: TrainingSpec, test: pd.DataFrame | None, logs: bool) -> Result:
    """Train, and read the test ratings once, if there are some."""
    cpu, start = time.process_time(), time.perf_counter()
    with contextlib.nullcontext() if logs else contextlib.redirect_stdout(io.StringIO()):
        metrics = train(spec)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - start
    error = None
    if test is not None:
        factors = load_factors(Path(spec.output))
        pairs = test["user_idx"].to_numpy(), test["movie_idx"].to_numpy()
        predicted = factors.predict(*pairs, time_P=test["rated_at"].to_numpy())
        error = rmse(predicted, test["rating"].to_numpy())
    return Result(
        name,
        metrics.get("validation_rmse_clipped"),
        error,
        metrics["epochs"],
        cpu,
        seconds,
    )


def all_ratings(spec: TrainingSpec, course: Course) -> TrainingSpec:
    """The same in the same way, from all ratings but the test's."""
    folder = spec.train.removesuffix("train")
    return replace(
        spec,
        train=f"{folder}all",
        validation=None,
        course=course,
        output=f"{folder}again",
        checkpoints=f"{folder}again-checkpoints",
    )


def sampled(spec: TrainingSpec, sweeps: int) -> Course:
    """The way of a sampler's one chain of so many sweeps."""
    return Course(sweeps, [[sweeps, sweeps - spec.settings.burn_in]], [])


def main() -> None:
    """Measure the biases, the default model and the member, and print the table."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    flags = [word for word in sys.argv[1:] if word.startswith("--")]
    options = dict(word.removeprefix("--").partition("=")[::2] for word in flags)
    if len(words) < 2 or options.keys() - {"held", "sweeps", "validation", "logs"}:
        sys.exit(__doc__)
    file, split = Path(words[0]), words[1]
    member = words[2] if len(words) > 2 else "bayesian"
    pairs = (word.partition("=") for word in words[3:])
    changes = {key: yaml.safe_load(value) for key, _, value in pairs}
    dealt = deal(file, split)
    searching, logs = "validation" in options, "logs" in options
    test = None if searching else dealt.of(TEST)
    counts = [len(dealt.of(part)) for part in (TRAIN, VALIDATION, TEST)]
    print(
        "{}, {}: {:,} to learn from, {:,} validation, {:,} test".format(file.stem, split, *counts),
        flush=True,
    )
    results: list[Result] = []

    def add(name: str, spec: TrainingSpec) -> None:
        results.append(measure(name, spec, test, logs))
        show(results[-1:])

    beside = () if searching else ("biases", "matrix_factorisation")
    for name in dict.fromkeys((*beside, member)):
        own = changes if name == member else {}
        title = " ".join([name, *(f"{key}={value}" for key, value in own.items())])
        with tempfile.TemporaryDirectory() as folder:
            write_inputs(dealt, Path(folder))
            spec = spec_of(name, Path(folder), dealt, own)
            sweeps = int(options.get("sweeps", 0)) if name == member else 0
            if not sweeps:
                add(title, spec)
            if name == member and not options.keys() & {"held", "validation"}:
                manifest = {} if sweeps else load_factors(Path(spec.output)).manifest
                course = sampled(spec, sweeps) if sweeps else Course.of(manifest)
                add(f"{title}, from all but the test", all_ratings(spec, course))
    print("\nvalidation  test    rounds  CPU s   s       model")
    show(results)


def show(results: list[Result]) -> None:
    for row in results:
        validation, test = (
            "none" if error is None else f"{error:.4f}" for error in (row.validation, row.test)
        )
        print(
            f"{validation:<10}  {test:<6}  {row.rounds:>6}  {row.cpu:6.1f}  "
            f"{row.seconds:6.1f}  {row.name}",
            flush=True,
        )


if __name__ == "__main__":
    main()
