"""Measure a run's models on what was held back, and decide whether they become champions.

    nightreel evaluate --run-id <run>

The model of ratings is good enough if it beats the user and movie biases and is not worse than the
champion, on the same ratings, by more than evaluate.champion_tolerance. Where neither it nor a
champion beats the biases, these become a version themselves: a run never ends without a model to
score with.
Metrics and versions go to MLflow. The step's record names the version that scoring uses.

These are the test ratings. A split that leaves none, as that of the profile james-le, is measured
on the validation ratings, on which the best epoch was chosen: metrics are then named after these.

How the model of order is measured and judged, where the run has one, is told in
jobs/training/order_gate.py. All figures become rows of the table `metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.evaluation import Evaluation
from jobs.runs.run import Run, run_of
from jobs.training.metrics_table import write_metrics
from jobs.training.order_gate import evaluate_order
from jobs.training.registry import Registry, same_split
from model.biases import BiasesSettings, biases_beside
from model.calibration import shares_inside
from model.data.ratings import DATED, Ratings, read_ratings
from model.factors import Factors, load_factors
from model.list_measure import Figure
from model.metrics import mae, rmse
from model.ranking.lower_bound import by_rating


@dataclass(frozen=True)
class Decision:
    """Which of three scores from now on, and why, in a sentence."""

    scores: Literal["model", "biases", "champion"]
    reason: str


def decide(
    own_rmse: float,
    bias_rmse: float,
    champion_rmse: float | None,
    tolerance: float,
    split: str = "test",
    model: str = "the model",
) -> Decision:
    """Compare clipped RMSE on a split with the biases' and the champion's; None: no champion.

    `model` is the name of what was trained: of `biases` nobody asks that they beat themselves.
    """
    ours = f"RMSE {own_rmse:.4f}" + (f" on the {split} ratings" if split != "test" else "")
    if own_rmse >= bias_rmse and model != "biases":
        worse = f"{ours} does not beat the biases' {bias_rmse:.4f}"
        if champion_rmse is None:
            return Decision("biases", worse)
        if bias_rmse + tolerance < champion_rmse:
            return Decision("biases", f"{worse}, nor does the champion's {champion_rmse:.4f}")
        return Decision("champion", worse)
    if champion_rmse is None:
        beats = "is the biases'" if model == "biases" else f"beats the biases' {bias_rmse:.4f}"
        return Decision("model", f"{ours} {beats}")
    if own_rmse > champion_rmse + tolerance:
        return Decision("champion", f"{ours} is worse than the champion's {champion_rmse:.4f}")
    return Decision("model", f"{ours} holds against the champion's {champion_rmse:.4f}")


def measure(factors: Factors, biases: Factors, held: Ratings, split: str) -> dict[str, float]:
    """Errors of the model, clipped and not, and of biases and mean on the ratings of a split."""
    user, movie, rating = (t.numpy() for t in (held.user_N, held.movie_N, held.rating_N))
    score = factors.predict(user, movie, clip=False, time_P=times_of(held))
    clipped = score.clip(factors.rating_min, factors.rating_max)
    # Of users and movies without training ratings too, whose biases are zero.
    by_bias = biases.mean + biases.user_bias_U[user] + biases.movie_bias_M[movie]
    by_bias = by_bias.clip(biases.rating_min, biases.rating_max)
    by_mean = np.full(len(rating), biases.mean)
    metrics = {
        f"{split}_rmse": rmse(clipped, rating),
        f"{split}_mae": mae(clipped, rating),
        f"{split}_rmse_unclipped": rmse(score, rating),
        f"{split}_mae_unclipped": mae(score, rating),
        "bias_rmse": rmse(by_bias, rating),
        "bias_mae": mae(by_bias, rating),
        "mean_rmse": rmse(by_mean, rating),
        "mean_mae": mae(by_mean, rating),
    }
    # Digits beyond these depend on the order of rows, and mean nothing.
    return {name: round(value, 5) for name, value in metrics.items()}


def times_of(held: Ratings) -> NDArray[np.int64] | None:
    """When ratings were given: they are predicted as of then."""
    return None if held.time_N is None else held.time_N.numpy()


def inside_intervals(factors: Factors, held: Ratings) -> dict[str, float]:
    """The shares of held-back ratings inside the intervals that the model gives them, by name.

    Of those that rest on the model; empty if it gives none.
    """
    if not factors.knows_sd:
        return {}
    pairs = held.user_N.numpy(), held.movie_N.numpy()
    predicted = factors.predict(*pairs, time_P=times_of(held))
    shares = shares_inside(predicted, factors.sd(*pairs), held.rating_N.numpy())
    return {f"inside_{percent}": round(share, 5) for percent, share in shares.items()}


def champion_rmse(run: Run, registry: Registry, candidate: Factors, held: Ratings) -> float | None:
    """The champion's RMSE on the same ratings; None if there is no champion yet."""
    if run.champion is None:
        return None
    # What it scores by may have learned from these ratings.
    _, champion = registry.measured(run.champion)
    if not same_split(candidate.manifest["data"], champion.manifest["data"]):
        print(
            f"champion {run.champion} was trained on another split, so it has learned from some of "
            "these ratings and looks better than it is. To have it replaced all the same, "
            "take its alias away in MLflow and start the run again under another run id.",
            flush=True,
        )
    user_idx = champion.user_idx(candidate.user_ids_U[held.user_N.numpy()])
    movie_idx = champion.movie_idx(candidate.movie_ids_M[held.movie_N.numpy()])
    predicted = champion.predict(user_idx, movie_idx, time_P=times_of(held))
    return rmse(predicted, held.rating_N.numpy())


def evaluate(run: Run) -> Evaluation:
    """Measure, register, decide; write the figures down."""
    evaluation = evaluate_rating(run)
    of_order: dict[str, list[Figure]] = {}
    if run.trains_order:
        factors, score = load_factors(run.output("factors")), run.conf.score
        rating = by_rating(factors, score.damping, score.lower_bound)
        order, of_order = evaluate_order(run, rating)
        evaluation = replace(evaluation, order=order)
    write_metrics(run, evaluation, of_order)
    return evaluation


def evaluate_rating(run: Run) -> Evaluation:
    """The same of the run's model of ratings."""
    folder = run.output("factors")
    factors = load_factors(folder)
    if factors.manifest["settings"] != run.conf.train.learning(run.conf.train.model):
        raise JobError(f"{folder} was trained with other settings than the run's: train it again.")
    split = run.conf.etl.splits[-1]
    held = read_ratings(run.split(split), DATED)
    if len(held) == 0:
        raise JobError(f"There are no {split} ratings. Raise etl.{split}_share.")
    if split != "test":
        print(f"there are no test ratings: measuring on the {split} ratings", flush=True)
    settings = BiasesSettings(**run.conf.train.of("biases"))
    biases = biases_beside(factors, read_ratings(run.split("train")), settings)
    metrics = measure(factors, biases, held, split)
    inside = inside_intervals(factors, held)
    registry = Registry.of(run)
    champion = champion_rmse(run, registry, factors, held)
    own, bias = metrics[f"{split}_rmse"], metrics["bias_rmse"]
    tolerance, model = run.conf.evaluate.champion_tolerance, run.conf.train.model
    decision = decide(own, bias, champion, tolerance, split, model)
    data = {**run.conf.etl.model_dump(), "digest": run.digest}
    version = registry.register(
        run.run_id, folder, run.conf.train.tracked(model) | data, metrics | inside
    )
    scores, fallback = {"model": version, "champion": run.champion}, None
    if decision.scores == "biases":
        fallback = scores["biases"] = register_biases(run, registry, biases, metrics, split, data)
        print(f"nothing better was learned: version {fallback} is the biases alone", flush=True)
    verdict = "good enough" if decision.scores == "model" else "not good enough"
    print(f"version {version}: {verdict}: {decision.reason}", flush=True)
    of_champion = {} if champion is None else {"champion_rmse": round(champion, 5)}
    return Evaluation(
        measured_on=split,
        errors=metrics | of_champion,
        inside=inside,
        promoted=decision.scores != "champion",
        reason=decision.reason,
        candidate_version=version,
        fallback_version=fallback,
        model_version=scores[decision.scores],
        measured_ratings=len(held),
    )


def register_biases(
    run: Run,
    registry: Registry,
    biases: Factors,
    metrics: dict[str, float],
    split: str,
    data: dict[str, Any],
) -> str:
    """Make the biases a version with their own settings and errors; returns it."""
    folder = run.output("biases")
    biases.save(folder)
    errors = {f"{split}_{error}": metrics[f"bias_{error}"] for error in ("rmse", "mae")}
    params = {"model": "biases", **run.conf.train.of("biases"), **data}
    params["refit"] = run.conf.train.refit
    return registry.register(run.run_id, folder, params, errors)


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("evaluate") as figures:
        try:
            evaluation = evaluate(run)
            # Which step comes next, the DAG learns from this record.
            figures.update(evaluation.record(), refits=run.conf.train.refit and evaluation.promotes)
        except ValueError as error:
            raise JobError(str(error)) from error


if __name__ == "__main__":
    run_command(main)
