"""Let what scores learn from all ratings, once it was measured on those that were held back.

    nightreel refit --run-id <run>

Validation ratings have said how long a model is to learn, and test ratings how good it is; tonight
they are ratings like others. So each model of the run that evaluate found good enough, or the
biases where these are to score, learns once more from all of them, with the same settings and in
the same way: as many epochs at the same learning rates, as many sweeps. Writes `factors-refitted`,
`biases-refitted`, `order-refitted`, and keeps them in the registry beside those that were measured.
The version stays what it was: its figures are of the latter, and the former score.

train.refit=false leaves it out. Where the training cannot be made, for want of memory say,

    nightreel refit --run-id <run> --skip

has the run go on and score as it was measured.
"""

from __future__ import annotations

from typing import Any

from jobs.runs.command import run_command, step_arguments
from jobs.runs.run import Run, run_of
from jobs.training.refitting import refit_order, refit_rating
from jobs.training.specs import biases_spec, order_spec, rating_spec


def refit(run: Run) -> dict[str, Any]:
    """Learn again whatever of the run's own scores; returns the figures of the step."""
    evaluation, figures = run.evaluation, dict[str, Any]()
    if evaluation.promoted:
        spec = biases_spec(run) if evaluation.fallback_version else rating_spec(run)
        figures |= refit_rating(run, evaluation, spec)
    if evaluation.order and evaluation.order.promoted:
        figures["order"] = refit_order(run, evaluation.order, order_spec(run))
    return figures


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    parser = step_arguments(__doc__)
    parser.add_argument("--skip", action="store_true", help="score as it was measured instead")
    arguments = parser.parse_args(argv)
    run = run_of(arguments)
    with run.step("refit") as figures:
        figures.update({"skipped": True} if arguments.skip else refit(run))


if __name__ == "__main__":
    run_command(main)
