"""Measure a run's model of ratings, register it, and decide whether it becomes the champion.

It is good enough if, by squared errors on the same ratings, a paired bootstrap over users finds it
better than the user and movie biases and not worse than the champion. Where neither it nor a
champion beats the biases, these become a version themselves: a run never ends without a model to
score with.

These are the test ratings. A split that leaves none, as that of the profile james-le, is measured
on the validation ratings, on which the best epoch was chosen: metrics are then named after these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.evaluation import Evaluation
from jobs.runs.run import Run
from jobs.training.registering import register
from jobs.training.registry import Registry
from jobs.training.specs import same_split
from model.biases import BiasesSettings, biases_beside
from model.bootstrap import difference
from model.calibration import shares_inside
from model.data.columns import DATED
from model.data.ratings import Ratings, read_ratings
from model.factors import Factors, load_factors
from model.metrics import mae, rmse

Double = NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """Which of three scores from now on, and why, in a sentence."""

    scores: Literal["model", "biases", "champion"]
    reason: str


def decide(
    own_U: Double,
    bias_U: Double,
    champion_U: Double | None,
    split: str = "test",
    model: str = "the model",
) -> Decision:
    """Compare the model's `errors_by_user` with the biases' and the champion's; None: no champion.

    `model` is the name of what was trained: of `biases` nobody asks that they beat themselves.
    """

    def against(one_U: Double, other_U: Double) -> str:
        return difference(-one_U, -other_U).verdict

    ours, biases = f"RMSE {root(own_U):.4f}", f"the biases' {root(bias_U):.4f}"
    ours += f" on the {split} ratings" if split != "test" else ""
    if model != "biases" and (found := against(own_U, bias_U)) != "better":
        surely = "surely " if found == "open" else ""
        worse = f"{ours} does not {surely}beat {biases}"
        if champion_U is None:
            return Decision("biases", worse)
        if against(bias_U, champion_U) == "better":
            return Decision("biases", f"{worse}, nor does the champion's {root(champion_U):.4f}")
        return Decision("champion", worse)
    if champion_U is None:
        return Decision("model", f"{ours} {'is' if model == 'biases' else 'beats'} {biases}")
    champion = f"the champion's {root(champion_U):.4f}"
    if against(own_U, champion_U) == "worse":
        return Decision("champion", f"{ours} is surely worse than {champion}")
    return Decision("model", f"{ours} holds against {champion}")


def root(error_U: Double) -> float:
    return float(np.sqrt(error_U.mean()))


def errors_by_user(predicted_N: NDArray[Any], held: Ratings) -> Double:
    """Squared errors of each user with held-back ratings, scaled so that their mean is that of all.

    Users are drawn and not ratings: errors of one user's are alike.
    """
    _, user_N = np.unique(held.user_N.numpy(), return_inverse=True)
    error_N = np.asarray(predicted_N, dtype=np.float64) - held.rating_N.numpy()
    sum_U = np.bincount(user_N, error_N**2)
    return sum_U * (len(sum_U) / len(error_N))


def measure(
    score_N: NDArray[Any],
    own_N: NDArray[Any],
    bias_N: NDArray[Any],
    mean: float,
    held: Ratings,
    split: str,
) -> dict[str, float]:
    """Errors on a split's ratings: of a model's scores, as they are and clipped, and of others."""
    rating = held.rating_N.numpy()
    mean_N = np.full(len(rating), mean)
    errors = {
        f"{split}_rmse": rmse(own_N, rating),
        f"{split}_mae": mae(own_N, rating),
        f"{split}_rmse_unclipped": rmse(score_N, rating),
        f"{split}_mae_unclipped": mae(score_N, rating),
        "bias_rmse": rmse(bias_N, rating),
        "bias_mae": mae(bias_N, rating),
        "mean_rmse": rmse(mean_N, rating),
        "mean_mae": mae(mean_N, rating),
    }
    # Digits beyond these depend on the order of rows, and mean nothing.
    return {name: round(value, 5) for name, value in errors.items()}


def times_of(held: Ratings) -> NDArray[np.int64] | None:
    """When ratings were given: they are predicted as of then."""
    return None if held.time_N is None else held.time_N.numpy()


def predictions_of_biases(biases: Factors, held: Ratings) -> NDArray[Any]:
    """What biases say of ratings: of users and movies too that have none, whose are zero."""
    user, movie = held.user_N.numpy(), held.movie_N.numpy()
    score = biases.mean + biases.user_bias_U[user] + biases.movie_bias_M[movie]
    return score.clip(biases.rating_min, biases.rating_max)


def inside_intervals(factors: Factors, own_N: NDArray[Any], held: Ratings) -> dict[str, float]:
    """The shares of held-back ratings inside the intervals that the model gives them, by name.

    Of those that rest on the model; empty if it gives none.
    """
    if not factors.knows_sd:
        return {}
    sd = factors.sd(held.user_N.numpy(), held.movie_N.numpy())
    shares = shares_inside(own_N, sd, held.rating_N.numpy())
    return {f"inside_{percent}": round(share, 5) for percent, share in shares.items()}


def champion_errors(
    run: Run, registry: Registry, candidate: Factors, held: Ratings
) -> Double | None:
    """The champion's `errors_by_user` on the same ratings; None if there is no champion yet."""
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
    return errors_by_user(champion.predict(user_idx, movie_idx, time_P=times_of(held)), held)


def evaluate_rating(run: Run, folder: Path | None = None) -> Evaluation:
    """Measure, register, decide: of the run's own training, or of another with its settings."""
    folder = folder or run.output("factors")
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
    pairs = held.user_N.numpy(), held.movie_N.numpy()
    score = factors.predict(*pairs, clip=False, time_P=times_of(held))
    predicted = score.clip(factors.rating_min, factors.rating_max)
    by_bias = predictions_of_biases(biases, held)
    metrics = measure(score, predicted, by_bias, biases.mean, held, split)
    inside = inside_intervals(factors, predicted, held)
    registry, model = Registry.of(run), run.conf.train.model
    champion = champion_errors(run, registry, factors, held)
    decision = decide(
        errors_by_user(predicted, held),
        errors_by_user(by_bias, held),
        champion,
        split,
        model,
    )
    data = {**run.conf.etl.model_dump(), "digest": run.digest}
    version = register(
        registry, run.run_id, folder, run.conf.train.tracked(model) | data, metrics | inside
    )
    scores, fallback = {"model": version, "champion": run.champion}, None
    if decision.scores == "biases":
        fallback = scores["biases"] = register_biases(
            run, registry, biases, folder.with_name("biases"), metrics, split, data
        )
    verdict = "good enough" if decision.scores == "model" else "not good enough"
    print(f"version {version}: {verdict}: {decision.reason}", flush=True)
    of_champion = {} if champion is None else {"champion_rmse": round(root(champion), 5)}
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
    folder: Path,
    metrics: dict[str, float],
    split: str,
    data: dict[str, Any],
) -> str:
    """Make the biases a version with their own settings and errors, from a folder; returns it."""
    biases.save(folder)
    errors = {f"{split}_{error}": metrics[f"bias_{error}"] for error in ("rmse", "mae")}
    params = {"model": "biases", **run.conf.train.of("biases"), **data}
    params["refit"] = run.conf.train.refit
    return register(registry, run.run_id, folder, params, errors)
