"""Train the embedding model of a run.

    nightreel train --run-id <run>

Reads train, validation and the indexes; writes `factors`: the `Factors` of the best epoch with
their manifest. With train.ranks above 1 the ranks are started by horovodrun. The loop itself is
model/training.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from jobs.arguments import run_of, step_arguments
from jobs.command import run_command
from jobs.errors import JobError
from jobs.layouts import detect_layout
from jobs.run import Run, write_json
from model.specification import TrainingSettings, TrainingSpec
from model.training import train


def training_spec(run: Run) -> TrainingSpec:
    """What model/training.py needs to know of a run."""
    low, high = detect_layout(run.raw).rating_range
    return TrainingSpec(
        train=str(run.split("train")),
        validation=str(run.split("validation")),
        user_index=str(run.data("user_index")),
        movie_index=str(run.data("movie_index")),
        output=str(run.output("factors")),
        checkpoints=str(run.staging / "checkpoints"),
        events=str(run.output("tensorboard")),
        rating_min=low,
        rating_max=high,
        settings=TrainingSettings(**run.conf.train.of_the_model()),
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


def launch(spec: TrainingSpec, ranks: int, spec_file: Path) -> None:
    """Train in `ranks` processes on this host. Raises JobError if a rank fails."""
    spec_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(spec_file, asdict(spec))
    horovodrun = Path(sys.executable).with_name("horovodrun")
    command = [str(horovodrun), "-np", str(ranks), "--gloo", sys.executable]
    command += ["-m", "model.training", str(spec_file)]
    # Ranks that outlive this process still hold the run's lock.
    with subprocess.Popen(command, close_fds=False) as ranks_running:
        try:
            status = ranks_running.wait()
        except BaseException:
            # horovodrun ends its ranks when it is asked to end, and leaves them when it is killed.
            ranks_running.terminate()
            raise
    if status != 0:
        raise JobError(f"Training failed: a rank ended with an error, shown above ({status}).")


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    ranks = run.conf.train.ranks
    with run.step("train") as figures:
        for split in ("train", "validation"):
            check_shards(run.split(split), ranks)
        spec = training_spec(run)
        try:
            if ranks == 1:
                train(spec)
            else:
                launch(spec, ranks, run.staging / "training.json")
        except ValueError as error:
            raise JobError(str(error)) from error
        manifest = json.loads((run.output("factors") / "manifest.json").read_text())["manifest"]
        figures.update(manifest["metrics"])


if __name__ == "__main__":
    run_command(main)
