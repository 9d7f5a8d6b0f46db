"""What a run has its models trained on: the specs of its trainings, as settings and data say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.training.registry import Registry
from jobs.training.transfers import transfers
from model.family import ORDER_MODELS, load
from model.settings import Course, TrainingSpec, chosen


def rating_spec(run: Run) -> TrainingSpec:
    """The training of the run's model of ratings."""
    spec = training_spec(run, run.conf.train.model, "factors")
    return from_champion(spec, run.champion, champion_to_start_from(run))


def order_spec(run: Run) -> TrainingSpec:
    """The training of the run's model of order; the curves stand beside those of ratings."""
    spec = training_spec(run, run.conf.train.order.model, "order")
    spec = replace(spec, events=f"{spec.events}/order")
    split = spec.provenance["data"]["order_split"]
    return from_champion(spec, run.order_champion, order_champion_to_start_from(run, split))


def biases_spec(run: Run) -> TrainingSpec:
    """The training of the biases that score where nothing better was learned."""
    return replace(training_spec(run, "biases", "biases"), events=None)


def from_all_ratings(
    spec: TrainingSpec, course: Course, ratings: Path, facts: dict[str, Any]
) -> TrainingSpec:
    """The same training once more, as the first went, from a folder of all ratings.

    Nothing is held back. `facts` go into the manifest: how many ratings these are, and what the
    first was measured at.
    """
    output, checkpoints = Path(spec.output), Path(spec.checkpoints)
    return replace(
        spec,
        train=str(ratings),
        validation=None,
        course=course,
        output=str(output.with_name(f"{output.name}-refitted")),
        checkpoints=str(checkpoints.with_name(f"{checkpoints.name}-refitted")),
        events=spec.events and f"{spec.events}/refitted",
        provenance=spec.provenance | facts,
    )


def training_spec(run: Run, model: str, output: str) -> TrainingSpec:
    """What model/training/loop.py needs to know of a run."""
    low, high = run.rating_range
    etl = run.record("etl")
    data = {"digest": run.digest, **run.conf.etl.model_dump()}
    if model in ORDER_MODELS:
        # Of what it learns from, the split of the ratings decides nothing.
        data["order_split"] = etl["order_split"]
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
        transfers=transfers(run, model),
        provenance={
            "run_id": run.run_id,
            "ds": run.ds.isoformat(),
            "release": run.release,
            "ratings": etl["ratings"],
            "data": data,
            **({"implicit": True} if run.implicit else {}),
        },
    )


def from_champion(spec: TrainingSpec, version: str | None, folder: Path | None) -> TrainingSpec:
    """The training that starts from a champion's `Factors` in a folder; None: at random."""
    return replace(
        spec,
        provenance=spec.provenance | {"started_from": version if folder else None},
        initial_factors=str(folder) if folder else None,
    )


def champion_to_start_from(run: Run) -> Path | None:
    """Folder of the champion's `Factors`, the one that ingest fixed; None starts at random.

    They are those that it was measured by, which know no rating that was held back, though it may
    score by others. Raises JobError if it has learned from ratings that this run holds back.
    """
    registry, ours = Registry.of(run), run.conf.etl
    found = measured_of(run, registry, run.conf.train.model, run.champion)
    if found is None:
        return None
    folder, theirs = found
    # A deal by the file's order changes with every new line.
    moved = ours.split in ("kfold", "position") and theirs["digest"] != run.digest
    if moved or not same_split(ours.model_dump(), theirs):
        raise another_split(f"champion {run.champion}")
    return folder


def order_champion_to_start_from(run: Run, split: str) -> Path | None:
    """The same of the champion of order; `split` is how etl dealt the histories."""
    registry, ours = Registry.of(run, "order"), run.conf.etl.model_dump()
    found = measured_of(run, registry, run.conf.train.order.model, run.order_champion)
    if found is None:
        return None
    folder, theirs = found
    if not same_order_split(ours | {"order_split": split}, theirs):
        raise another_split(f"champion {run.order_champion} of order")
    return folder


def measured_of(
    run: Run, registry: Registry, model: str, version: str | None
) -> tuple[Path, dict[str, Any]] | None:
    """Where the champion of a registry lies as it was measured, and what data it learned from.

    None, and why in the log, where a model of this name has none to start from.
    """
    if not run.conf.train.warm_start:
        return None
    if not hasattr(load(model), "start_from"):
        print(f"{model} starts from no earlier model", flush=True)
        return None
    of_order = " of order" if registry.objective == "order" else ""
    if version is None:
        print(f"there is no champion{of_order} to start from: all starts at random", flush=True)
        return None
    folder, factors = registry.measured(version)
    # What was saved before there was a family names no model.
    theirs = factors.manifest.get("model", "matrix_factorisation")
    if theirs != model:
        print(f"champion {version}{of_order} is of {theirs}: all starts at random", flush=True)
        return None
    return folder, factors.manifest["data"]


def another_split(champion: str) -> JobError:
    return JobError(
        f"train.warm_start: {champion} was trained on another split, so it has learned from some "
        "of the ratings that this run is measured on. Take its split, or set "
        "train.warm_start=false."
    )


def check_shards(folder: Path, ranks: int) -> None:
    """Every rank needs a row group of its own."""
    files = len(list(folder.glob("*.parquet")))
    if files < ranks:
        raise JobError(
            f"{ranks} ranks cannot share {files} row groups in {folder}. "
            "Lower train.ranks or raise etl.min_row_groups."
        )


def same_split(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two models were trained on the same deal of ratings, by their manifests' settings."""
    # Champions older than the setting were dealt at random, and say nothing of its parts.
    theirs = {"split": "random"} | theirs
    keys = {"split", "split_seed", "train_share", "validation_share", "test_share"}
    of_folds = {"folds", "fold"}
    parts = {"folds": of_folds, "kfold": of_folds, "given": {"given"}}
    keys |= parts.get(ours["split"], set())
    return all(ours[key] == theirs.get(key) for key in keys)


def same_order_split(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two models of order were trained on the same deal of histories, likewise."""
    keys = ("order_split", "visit_gap_minutes", "train_share", "validation_share")
    return all(ours[key] == theirs.get(key) for key in keys)
