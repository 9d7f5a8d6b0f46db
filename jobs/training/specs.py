"""What a run has its models trained on: the specs of its trainings, as settings and data say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.training.registry import Registry, same_split
from model.family import load
from model.settings import Course, TrainingSpec, chosen


def rating_spec(run: Run) -> TrainingSpec:
    """The training of the run's model of ratings."""
    first = champion_to_start_from(run)
    spec = training_spec(run, run.conf.train.model, "factors")
    return replace(
        spec,
        provenance=spec.provenance | {"started_from": run.champion if first else None},
        initial_factors=str(first) if first else None,
    )


def order_spec(run: Run) -> TrainingSpec:
    """The training of the run's model of order; the curves stand beside those of ratings."""
    spec = training_spec(run, run.conf.train.order.model, "order")
    # Of what it learns from, the split of the ratings decides nothing.
    told = spec.provenance["data"] | {"order_split": run.record("etl")["order_split"]}
    return replace(
        spec,
        events=f"{spec.events}/order",
        provenance=spec.provenance | {"data": told},
    )


def biases_spec(run: Run) -> TrainingSpec:
    """The training of the biases that score where nothing better was learned."""
    return replace(training_spec(run, "biases", "biases"), events=None)


def from_all_ratings(
    run: Run, spec: TrainingSpec, course: Course, ratings: Path, facts: dict[str, Any]
) -> TrainingSpec:
    """The same training once more, as the first went, from a folder of all ratings.

    Nothing is held back. `facts` go into the manifest: how many ratings these are, and what the
    first was measured at.
    """
    output = f"{Path(spec.output).name}-refitted"
    return replace(
        spec,
        train=str(ratings),
        validation=None,
        course=course,
        output=str(run.output(output)),
        checkpoints=str(run.warehouse.checkpoints(run.run_id) / output),
        events=spec.events and f"{spec.events}/refitted",
        provenance=spec.provenance | facts,
    )


def training_spec(run: Run, model: str, output: str) -> TrainingSpec:
    """What model/training/loop.py needs to know of a run."""
    low, high = run.rating_range
    return TrainingSpec(
        **chosen(model, run.conf.train.learning(model)),
        train=str(run.split("train")),
        validation=str(run.split("validation")),
        user_index=str(run.data("user_index")),
        movie_index=str(run.data("movie_index")),
        histories=str(run.data("histories")),
        users=str(run.data("users")),
        movies=str(run.data("movies")),
        output=str(run.output(output)),
        checkpoints=str(run.warehouse.checkpoints(run.run_id) / output),
        events=str(run.output("tensorboard")),
        rating_min=low,
        rating_max=high,
        provenance={
            "run_id": run.run_id,
            "ds": run.ds.isoformat(),
            "release": run.release,
            "ratings": run.record("etl")["ratings"],
            "data": {"digest": run.digest, **run.conf.etl.model_dump()},
        },
    )


def champion_to_start_from(run: Run) -> Path | None:
    """Folder of the champion's `Factors`, the one that ingest fixed; None starts at random.

    They are those that it was measured by, which know no rating that was held back, though it may
    score by others. Raises JobError if it has learned from ratings that this run holds back.
    """
    if not run.conf.train.warm_start:
        return None
    if not hasattr(load(run.conf.train.model), "start_from"):
        print(f"{run.conf.train.model} starts from no earlier model", flush=True)
        return None
    if run.champion is None:
        print("there is no champion to start from: all starts at random", flush=True)
        return None
    registry = Registry.of(run)
    folder, factors = registry.measured(run.champion)
    manifest = factors.manifest
    # What was saved before there was a family names no model.
    model = manifest.get("model", "matrix_factorisation")
    if model != run.conf.train.model:
        print(f"champion {run.champion} is of {model}: all starts at random", flush=True)
        return None
    ours, theirs = run.conf.etl, manifest["data"]
    # A deal by the file's order changes with every new line.
    moved = ours.split in ("kfold", "position") and theirs["digest"] != run.digest
    if moved or not same_split(ours.model_dump(), theirs):
        raise JobError(
            f"train.warm_start: champion {run.champion} was trained on another split, so it has "
            "learned from some of the ratings that this run is measured on. Take its split, or "
            "set train.warm_start=false."
        )
    return folder


def check_shards(folder: Path, ranks: int) -> None:
    """Every rank needs a row group of its own."""
    files = len(list(folder.glob("*.parquet")))
    if files < ranks:
        raise JobError(
            f"{ranks} ranks cannot share {files} row groups in {folder}. "
            "Lower train.ranks or raise etl.min_row_groups."
        )
