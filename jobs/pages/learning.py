"""How a run's model learned, and how its errors compare."""

from __future__ import annotations

import math
from typing import Any

from jobs.pages.page import Part, Plot, Section, Text, number, share
from jobs.pages.plots import bars, lines
from jobs.runs.evaluation import Evaluation, Whose

COMPARED: dict[Whose, str] = {
    "mean": "mean rating",
    "biases": "user and movie biases",
    "champion": "champion before",
    "model": "this model",
}


def learning(
    history: list[dict[str, Any]],
    best: int,
    evaluation: Evaluation,
    refit_ratings: int | None = None,
) -> Section:
    """The learning curves, and the errors beside those of baselines and champion.

    `history` is that of the model's manifest, `best` the epoch whose weights were kept, and
    `refit_ratings` how many ratings what scores has learned from since, as the step score says.
    """
    parts: list[Part] = [curves(history, best)] if history else []
    parts.append(comparison(evaluation))
    decided = "promoted" if evaluation.scores == "model" else "not promoted"
    told = f"Version {evaluation.candidate_version} was {decided}: {evaluation.reason}."
    if fallback := evaluation.fallback_version:
        told += f" The biases alone, version {fallback}, were promoted in its place."
    verdict = Text(f"{told} {evaluation.learned(refit_ratings)}")
    return Section("Learning", [verdict, *parts])


def curves(history: list[dict[str, Any]], best: int) -> Plot:
    """Training and validation error by epoch."""
    epochs = [entry["epoch"] for entry in history]
    validation = [entry["validation_rmse"] for entry in history]
    kept = validation[epochs.index(best)]
    shown = {"validation": validation}
    told = f"Of {len(epochs)} epochs, epoch {best} was kept (dashed line): validation RMSE "
    told += number(kept, 4)
    # A model made of others has a line for each of these, and no loss of its own.
    if all("train_loss" in entry for entry in history):
        # The loss is a mean squared error; its root is in rating points, as the validation error.
        train = [math.sqrt(entry["train_loss"]) for entry in history]
        shown = {"training": train} | shown
        told += f", {against(kept, train[epochs.index(best)])} of the training ratings"
    return Plot(
        lines(epochs, shown, "epoch", "RMSE", mark=best),
        f"{told}.",
        f"Curves of {' and '.join(shown)} RMSE by epoch, 1 to {epochs[-1]}.",
    )


def against(value: float, other: float) -> str:
    """How a figure lies to another: 0.0012 above that, 0.0012 below that, the same as that."""
    difference = round(value - other, 4)
    if difference == 0:
        return "the same as that"
    return f"{number(abs(difference), 4)} {'above' if difference > 0 else 'below'} that"


def comparison(evaluation: Evaluation) -> Plot:
    """RMSE of the model beside the baselines' and the champion's, on the same ratings."""
    split, rmse = evaluation.measured_on, evaluation.rmse
    model, bias, mae = rmse["model"], rmse["biases"], evaluation.mae["model"]
    told = f"RMSE {number(model, 4)}, MAE {number(mae, 4)} on the {split} ratings: "
    better = "below" if model < bias else "above"
    told += f"{share(abs(bias - model), bias)} {better} the biases alone."
    if "champion" in rmse:
        told += f" The champion's is {against(rmse['champion'], model)}."
    else:
        told += " There was no champion before."
    names = [COMPARED[whose] for whose in rmse]
    shown = [number(value, 4) for value in rmse.values()]
    return Plot(
        bars(names, list(rmse.values()), digits=4),
        told,
        f"Bar chart of {split} RMSE. " + ", ".join(map(": ".join, zip(names, shown, strict=True))),
    )
