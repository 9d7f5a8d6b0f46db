"""Train the models of a run: train.model names that of ratings, train.order.model that of order.

    nightreel train --run-id <run>

Reads train, validation, histories and the indexes; writes `factors`, and `order` where there is a
model of order: the `Factors` of the best epoch with their manifest. The ranks are started as
jobs/training/launchers.py says; the loop itself is model/training/loop.py.
"""

from __future__ import annotations

import json
from typing import Any

from jobs.runs.command import run_command, step_arguments
from jobs.runs.run import Run, run_of
from jobs.training.launchers import launch
from jobs.training.specs import check_shards, order_spec, rating_spec


def train(run: Run) -> dict[str, Any]:
    """Train one after the other; returns the figures of the step."""
    settings, folders = run.conf.train, {run.split("train"), run.split("validation")}
    specs = {"factors": rating_spec(run)}
    if run.trains_order:
        specs["order"] = order_spec(run)
        folders.add(run.data("histories"))
    elif settings.order.model != "none":
        print("no user has two parts to be measured by: no model of order is trained", flush=True)
    for folder in sorted(folders):
        check_shards(folder, settings.max_ranks or settings.ranks)
    metrics = {}
    for output, spec in specs.items():
        launch(spec, settings, run.staging / output)
        manifest = json.loads((run.output(output) / "manifest.json").read_text())["manifest"]
        metrics[output] = manifest["metrics"]
    figures = metrics.pop("factors")
    return figures | metrics


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("train") as figures:
        figures.update(train(run))


if __name__ == "__main__":
    run_command(main)
