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

from pathlib import Path
from typing import Any

from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.evaluation import Evaluation
from jobs.runs.order_evaluation import OrderEvaluation
from jobs.runs.run import Run, run_of
from jobs.training.all_ratings import write_all_ratings
from jobs.training.launchers import launch
from jobs.training.registering import add_refitted
from jobs.training.registry import Registry
from jobs.training.specs import (
    biases_spec,
    check_shards,
    from_all_ratings,
    order_spec,
    rating_spec,
)
from model.factors import load_factors
from model.settings import Course, TrainingSpec


def refit(run: Run) -> dict[str, Any]:
    """Learn again whatever of the run's own scores; returns the figures of the step."""
    evaluation, figures = run.evaluation, dict[str, Any]()
    if evaluation.promoted:
        figures |= refit_rating(run, evaluation)
    if evaluation.order and evaluation.order.promoted:
        figures["order"] = refit_order(run, evaluation.order)
    return figures


def refit_rating(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    """What predicts ratings: the run's own model, or the biases in its place."""
    spec = biases_spec(run) if evaluation.fallback_version else rating_spec(run)
    ratings = run.staging / "all-ratings"
    learned = write_all_ratings(run, ratings)
    measured = {
        "split": evaluation.measured_on,
        "ratings": evaluation.measured_ratings,
        "rmse": evaluation.rmse[evaluation.scores],
    }
    again = from_all_ratings(
        run, spec, course_of(spec), ratings, {"refit_ratings": learned, "measured": measured}
    )
    version = evaluation.fallback_version or evaluation.candidate_version
    told = f"{evaluation.measured_ratings:,} {evaluation.measured_on} ratings"
    return learn_again(run, Registry.of(run), version, again, ratings, told)


def refit_order(run: Run, evaluation: OrderEvaluation) -> dict[str, Any]:
    """What orders movies: users' last visits are learned from, too."""
    spec, histories = order_spec(run), run.data("histories")
    measured = {
        "split": evaluation.split,
        "users": evaluation.users,
        "ndcg_10": evaluation.ndcg_10["model"],
    }
    learned = run.record("etl")["ratings"]
    again = from_all_ratings(
        run, spec, course_of(spec), histories, {"refit_ratings": learned, "measured": measured}
    )
    told = f"what {evaluation.users:,} users rated next ({evaluation.split})"
    version = evaluation.candidate_version
    return learn_again(run, Registry.of(run, "order"), version, again, histories, told)


def course_of(spec: TrainingSpec) -> Course:
    """How the first training went. Raises JobError if what it has left is not whole."""
    try:
        return Course.of(load_factors(Path(spec.output)).manifest)
    except ValueError as error:
        raise JobError(f"{error}. Run train and evaluate again.") from error


def learn_again(
    run: Run,
    registry: Registry,
    version: str,
    spec: TrainingSpec,
    ratings: Path,
    measured_on: str,
) -> dict[str, Any]:
    """Train as the spec says, and have the version score by what comes of it; the figures."""
    settings, learned = run.conf.train, spec.provenance["refit_ratings"]
    check_shards(ratings, settings.max_ranks or settings.ranks)
    launch(spec, settings, run.staging / Path(spec.output).name)
    told = f"measured on {measured_on}; what scores has learned from all {learned:,} ratings"
    add_refitted(registry, version, Path(spec.output), learned, told)
    print(f"version {version} of {registry.name}: {told}", flush=True)
    rounds = spec.course.rounds if spec.course else 1
    return {"model_version": version, "ratings": learned, "epochs": rounds}


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
