"""Train the embedding model of a run.

    nightreel train --run-id <run>

Reads train, validation and the indexes; writes `factors`: the `Factors` of the best epoch with
their manifest. The ranks are started as jobs/launchers.py says; the loop itself is
model/training.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from jobs.arguments import run_of, step_arguments
from jobs.command import run_command
from jobs.errors import JobError
from jobs.launchers import launch
from jobs.layouts import detect_layout
from jobs.run import Run
from model.training import TrainingSpec


def training_spec(run: Run) -> TrainingSpec:
    """What model/training.py needs to know of a run."""
    low, high = detect_layout(run.raw).rating_range
    return TrainingSpec(
        train=str(run.split("train")),
        validation=str(run.split("validation")),
        user_index=str(run.data("user_index")),
        movie_index=str(run.data("movie_index")),
        output=str(run.output("factors")),
        rating_min=low,
        rating_max=high,
        settings=run.conf.train.of_model(),
        provenance={
            "run_id": run.run_id,
            "ds": run.ds.isoformat(),
            "release": run.release,
            "ratings": run.record("etl")["ratings"],
            "data": {"digest": run.digest, **run.conf.etl.model_dump()},
        },
    )


def check_shards(folder: Path, ranks: int) -> None:
    """Every rank needs a row group of its own."""
    files = len(list(folder.glob("*.parquet")))
    if files < ranks:
        raise JobError(
            f"{ranks} ranks cannot share {files} row groups in {folder}. "
            "Lower train.ranks or raise etl.min_row_groups."
        )


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    settings = run.conf.train
    with run.step("train") as figures:
        for split in ("train", "validation"):
            check_shards(run.split(split), settings.max_ranks or settings.ranks)
        launch(training_spec(run), settings, run.staging)
        manifest = json.loads((run.output("factors") / "manifest.json").read_text())["manifest"]
        figures.update(manifest["metrics"])


if __name__ == "__main__":
    run_command(main)
