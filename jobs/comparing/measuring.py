"""One entrant trained and measured on what was held back: figures, and those of each user."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.comparing.entrants import BASELINES, Entrant, with_settings
from jobs.comparing.folds import fold_folder, fold_spec
from jobs.comparing.search import search
from jobs.comparing.trainings import at_most, cpu_seconds, validated
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.training.launchers import launch
from jobs.training.metrics_table import known
from jobs.training.order_gate import catalogue_of, ndcg_10, question_of
from jobs.training.order_lists import Question, by_factors, by_order
from jobs.training.rating_gate import errors_by_user, times_of
from jobs.training.specs import training_spec
from model.bootstrap import intervals
from model.data.columns import DATED
from model.data.ratings import read_ratings
from model.factors import Factors, load_factors
from model.list_measure import EVERYBODY, measure
from model.metrics import mae
from model.ranking.lower_bound import by_rating
from model.ranking.ranker import Ranked
from model.settings import TrainingSpec

# Movies of a list that are kept to be compared with those of others.
KEPT = 10

Arrays = dict[str, NDArray[Any]]
Figures = list[list[Any]]


def measured(run: Run, entrant: Entrant) -> tuple[dict[str, Any], Arrays]:
    """The fields of its result: in JSON, and arrays."""
    # Of folds lists are not measured: a fold is of ratings, whatever came when.
    asked = question_of(run) if run.measures_order and not entrant.fold else None
    if entrant.seed is None:
        assert asked is not None
        figures, arrays = of_lists(run, asked, BASELINES[entrant.member](asked))
        return {"figures": figures}, arrays
    found: dict[str, Any] = {}
    if entrant.searched:
        chosen = search(run, entrant.member)
        found["trials"] = len(chosen.tried)
        run = with_settings(run, entrant.member, chosen.best.settings)
    spec = spec_of(run, entrant)
    start, before = time.perf_counter(), cpu_seconds()
    with at_most(run.conf.compare.minutes):
        launch(spec, run.conf.train, run.staging / entrant.name)
    spent = {"seconds": time.perf_counter() - start, "cpu_seconds": cpu_seconds() - before}
    folder = Path(spec.output)
    factors = load_factors(folder)
    found |= {name: round(value, 2) for name, value in spent.items()}
    found["size"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    found["settings"] = json.dumps(run.conf.train.of(entrant.member), sort_keys=True)
    found["figures"] = [of_validation(run, entrant, factors)]
    arrays = {}
    if not entrant.orders:
        figures, arrays = of_ratings(run, entrant, factors)
        found["figures"] += figures
    if asked is not None:
        conf = run.conf.score
        ranked = (
            by_order(asked, factors, folder)
            if entrant.orders
            else by_factors(asked, by_rating(factors, conf.damping, conf.lower_bound))
        )
        figures, own = of_lists(run, asked, ranked)
        found["figures"] += figures
        arrays |= own
    return found, arrays


def spec_of(run: Run, entrant: Entrant) -> TrainingSpec:
    """Its training: the run's, from another seed, into a folder of its own."""
    if entrant.orders and not run.measures_order:
        raise JobError(
            f"{entrant.member} orders movies, and of no user of run {run.run_id} two parts in time "
            "are known to learn it from and to measure it by"
        )
    spec = training_spec(run, entrant.member, f"comparison/{entrant.name}/factors")
    assert entrant.seed is not None
    spec = replace(spec, seed=entrant.seed, events=None)
    return fold_spec(run, spec, entrant.fold) if entrant.fold else spec


def of_validation(run: Run, entrant: Entrant, factors: Factors) -> list[Any]:
    """The figure by which settings and champions are chosen."""
    value = validated(entrant.member, factors.manifest["metrics"])
    if entrant.orders:
        split = f"{run.record('etl')['order_split']} validation"
        return [split, EVERYBODY, "validation_ndcg", 10, value, None, None]
    split = "folds" if entrant.fold else "validation"
    return [split, EVERYBODY, "validation_rmse", None, value, None, None]


def of_ratings(run: Run, entrant: Entrant, factors: Factors) -> tuple[Figures, Arrays]:
    """How far off its predictions are of what was held back: figures, and of each user."""
    part = run.conf.etl.splits[-1]
    folder, split = run.split(part), part
    if entrant.fold:
        folder, split = fold_folder(run, entrant.fold) / "test", "folds"
    held = read_ratings(folder, DATED)
    if len(held) == 0:
        raise JobError(f"there are no {part} ratings: raise etl.{part}_share")
    pairs = held.user_N.numpy(), held.movie_N.numpy()
    predicted = factors.predict(*pairs, time_P=times_of(held))
    squared_U = errors_by_user(predicted, held)
    [mean] = intervals(squared_U[None])
    root = [float(np.sqrt(value)) for value in (mean.value, mean.low, mean.high)]
    absolute = mae(predicted, held.rating_N.numpy())
    rows = [
        [split, EVERYBODY, "rmse", None, *root],
        [split, EVERYBODY, "mae", None, absolute, None, None],
    ]
    if entrant.fold:
        # Another fold holds back ratings of others: a place for every user lets folds be added up.
        squared_U = of_everybody(squared_U, np.unique(held.user_N.numpy()), len(factors.user_ids_U))
    return rows, {"squared_U": squared_U}


def of_everybody(
    squared_H: NDArray[np.float64], user_H: NDArray[np.integer], users: int
) -> NDArray[np.float64]:
    """Squared errors of H of so many users as those of all, 0 of the others; the mean stays."""
    squared_U = np.zeros(users)
    squared_U[user_H] = squared_H * (users / len(user_H))
    return squared_U


def of_lists(run: Run, asked: Question, ranked: Ranked) -> tuple[Figures, Arrays]:
    """How well its lists name what came next: figures, and of each user."""
    split = f"{run.record('etl')['order_split']} test"
    figures = measure(ranked, asked.held, catalogue_of(run, asked))
    rows = [[split, *map(known, figure)] for figure in figures]
    top_BK = np.full((len(asked.held), KEPT), -1, np.int32)
    kept_R = ranked.rank_R <= KEPT
    top_BK[ranked.row_R[kept_R], ranked.rank_R[kept_R] - 1] = ranked.movie_idx_R[kept_R]
    return rows, {"ndcg_B": ndcg_10(asked, ranked), "top_BK": top_BK}
