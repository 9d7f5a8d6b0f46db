"""A model that was measured learns once more, from all ratings, and scores by what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.runs.errors import JobError
from jobs.runs.evaluation import Evaluation
from jobs.runs.order_evaluation import OrderEvaluation
from jobs.runs.run import Run
from jobs.training.all_ratings import write_all_ratings
from jobs.training.launchers import launch
from jobs.training.registering import add_refitted
from jobs.training.registry import Registry
from jobs.training.specs import check_shards, from_all_ratings
from model.factors import load_factors
from model.settings import Course, TrainingSpec


def refit_rating(run: Run, evaluation: Evaluation, spec: TrainingSpec) -> dict[str, Any]:
    """What predicts ratings, trained as the spec says: a model, or the biases in its place."""
    ratings = run.staging / "all-ratings"
    learned = write_all_ratings(run, ratings)
    measured = {
        "split": evaluation.measured_on,
        "ratings": evaluation.measured_ratings,
        "rmse": evaluation.rmse[evaluation.scores],
    }
    again = from_all_ratings(
        spec, course_of(spec), ratings, {"refit_ratings": learned, "measured": measured}
    )
    version = evaluation.fallback_version or evaluation.candidate_version
    told = f"{evaluation.measured_ratings:,} {evaluation.measured_on} ratings"
    return learn_again(run, Registry.of(run), version, again, ratings, told)


def refit_order(run: Run, evaluation: OrderEvaluation, spec: TrainingSpec) -> dict[str, Any]:
    """What orders movies: users' last visits are learned from, too."""
    histories = run.data("histories")
    measured = {
        "split": evaluation.split,
        "users": evaluation.users,
        "ndcg_10": evaluation.ndcg_10["model"],
    }
    learned = run.record("etl")["ratings"]
    again = from_all_ratings(
        spec, course_of(spec), histories, {"refit_ratings": learned, "measured": measured}
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
