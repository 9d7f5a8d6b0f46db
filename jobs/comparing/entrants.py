"""What a comparison sets side by side, each trained and measured by itself.

A result lies in runs/<run>/comparison/<entrant>, `result.json` written last: what has one, of the
same settings and data, is not trained again.
"""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from signal import ITIMER_REAL, SIGALRM, setitimer, signal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.files import exclusive, read_json, write_json
from jobs.runs.run import Run
from jobs.training.launchers import launch
from jobs.training.metrics_table import known
from jobs.training.order_gate import catalogue_of, ndcg_10, question_of
from jobs.training.order_lists import (
    Question,
    by_factors,
    by_order,
    by_popularity,
    by_recent_popularity,
)
from jobs.training.rating_gate import errors_by_user, times_of
from jobs.training.specs import training_spec
from model.bootstrap import intervals
from model.data.columns import DATED
from model.data.ratings import read_ratings
from model.factors import Factors, load_factors
from model.family import ORDER_MODELS
from model.files import make_folder
from model.list_measure import EVERYBODY, measure
from model.metrics import mae
from model.ranking.lower_bound import by_rating
from model.ranking.ranker import Ranked
from model.settings import TrainingSpec

BASELINES = {"popularity": by_popularity, "recent_popularity": by_recent_popularity}
# Movies of a list that are kept to be compared with those of others.
KEPT = 10


@dataclass(frozen=True)
class Entrant:
    """A model of the family and the seed that it is trained from; of a baseline there is none."""

    member: str
    seed: int | None = None

    @property
    def name(self) -> str:
        """What it is called: bayesian-7."""
        return self.member if self.seed is None else f"{self.member}-{self.seed}"

    @property
    def orders(self) -> bool:
        """Whether it says in which order a user will want movies, and predicts no rating."""
        return self.member in ORDER_MODELS or self.member in BASELINES


@dataclass(frozen=True)
class Result:
    """What was found of an entrant, or why nothing was."""

    entrant: Entrant
    figures: list[list[Any]]
    """Rows of split, segment, name, k, value, low and high; None where there is none."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of training, its reading included."""
    size: int = 0
    """Bytes of its `Factors`."""
    settings: str = "{}"
    """JSON of its own."""
    why_not: str | None = None
    """A sentence; None if it was measured."""
    squared_U: NDArray[np.float64] | None = None
    """Squared errors of each user with held-back ratings; None of what predicts none."""
    ndcg_B: NDArray[np.float64] | None = None
    """NDCG at 10 of each user whose order was held back; None where nobody's was."""
    top_BK: NDArray[np.int32] | None = None
    """These users' first movies."""

    def value(self, name: str, k: int | None = None, segment: str = EVERYBODY) -> float | None:
        """A figure; None where there is none."""
        for _, *found, value, _, _ in self.figures:
            if found == [segment, name, k]:
                return value
        return None


def entrants_of(run: Run) -> list[Entrant]:
    """All that a run is to compare, baselines first."""
    conf = run.conf.compare
    baselines = [Entrant(name) for name in BASELINES] if run.measures_order else []
    return baselines + [Entrant(m, seed) for m in conf.members for seed in conf.seeds]


def entrant_named(run: Run, name: str) -> Entrant:
    """One of these. Raises JobError, naming them, if there is none of the name."""
    named = {entrant.name: entrant for entrant in entrants_of(run)}
    if name not in named:
        raise JobError(f"Run {run.run_id} compares no {name}, but: {', '.join(named)}.")
    return named[name]


def folder_of(run: Run, entrant: Entrant) -> Path:
    """Where its result lies."""
    return run.output("comparison") / entrant.name


def compare_one(run: Run, entrant: Entrant) -> None:
    """Train and measure an entrant, unless that was done; of one that fails, the result says why.

    It is tried again whenever this is called.
    """
    folder, asked = folder_of(run, entrant), fingerprint(run, entrant)
    make_folder(folder)
    with exclusive(folder / ".lock", f"another attempt at {entrant.name} to end"):
        earlier = read_json(folder / "result.json")
        if earlier and earlier["fingerprint"] == asked:
            print(f"compare: {entrant.name} is measured already", flush=True)
            return
        print(f"compare: {entrant.name}", flush=True)
        try:
            found, arrays = measured(run, entrant)
        except (JobError, ValueError) as error:
            found, arrays = {"figures": [], "why_not": str(error)}, {}
            asked = failed(run, asked)
            print(f"compare: {entrant.name} is left out: {error}", flush=True)
        np.savez(folder / "users.npz", **arrays)
        write_json(folder / "result.json", {"fingerprint": asked, "why_not": None} | found)


def result_of(run: Run, entrant: Entrant) -> Result | None:
    """What was found of it; None if it was not trained with these settings on these data yet."""
    folder, asked = folder_of(run, entrant), fingerprint(run, entrant)
    found = read_json(folder / "result.json")
    if found is None or found.pop("fingerprint") not in (asked, failed(run, asked)):
        return None
    with np.load(folder / "users.npz") as arrays:
        return Result(entrant, **found, **{name: arrays[name] for name in arrays})


def fingerprint(run: Run, entrant: Entrant) -> str:
    """Of all that decides a result; an etl that was made again makes others."""
    own = None if entrant.seed is None else run.conf.train.learning(entrant.member)
    score = run.conf.score
    parts = [own, run.record("etl"), run.digest, score.damping, score.lower_bound]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def failed(run: Run, asked: str) -> str:
    """The fingerprint of a result that is none; with more time it might become one."""
    return f"{asked} within {run.conf.compare.minutes} minutes"


def measured(run: Run, entrant: Entrant) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The fields of its result: in JSON, and arrays."""
    asked = question_of(run) if run.measures_order else None
    if entrant.seed is None:
        assert asked is not None
        return of_lists(run, asked, BASELINES[entrant.member](asked))
    spec = spec_of(run, entrant)
    start, before = time.perf_counter(), cpu_seconds()
    with at_most(run.conf.compare.minutes):
        launch(spec, run.conf.train, run.staging / entrant.name)
    spent = {"seconds": time.perf_counter() - start, "cpu_seconds": cpu_seconds() - before}
    folder = Path(spec.output)
    factors = load_factors(folder)
    found: dict[str, Any] = {name: round(value, 2) for name, value in spent.items()}
    found["size"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    found["settings"] = json.dumps(run.conf.train.of(entrant.member), sort_keys=True)
    found["figures"] = []
    arrays: dict[str, NDArray[Any]] = {}
    if not entrant.orders:
        found["figures"], arrays = of_ratings(run, factors)
    if asked is not None:
        conf = run.conf.score
        ranked = (
            by_order(asked, factors, folder)
            if entrant.orders
            else by_factors(asked, by_rating(factors, conf.damping, conf.lower_bound))
        )
        of_order, own = of_lists(run, asked, ranked)
        found["figures"] += of_order["figures"]
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
    return replace(spec, seed=entrant.seed, events=None)


def of_ratings(run: Run, factors: Factors) -> tuple[list[list[Any]], dict[str, NDArray[Any]]]:
    """How far off its predictions are of what was held back: figures, and of each user."""
    split = run.conf.etl.splits[-1]
    held = read_ratings(run.split(split), DATED)
    if len(held) == 0:
        raise JobError(f"there are no {split} ratings: raise etl.{split}_share")
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
    return rows, {"squared_U": squared_U}


def of_lists(
    run: Run, asked: Question, ranked: Ranked
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """How well its lists name what came next: figures, and of each user."""
    split = f"{run.record('etl')['order_split']} test"
    figures = measure(ranked, asked.held, catalogue_of(run, asked))
    rows = [[split, *map(known, figure)] for figure in figures]
    top_BK = np.full((len(asked.held), KEPT), -1, np.int32)
    kept_R = ranked.rank_R <= KEPT
    top_BK[ranked.row_R[kept_R], ranked.rank_R[kept_R] - 1] = ranked.movie_idx_R[kept_R]
    return {"figures": rows}, {"ndcg_B": ndcg_10(asked, ranked), "top_BK": top_BK}


def cpu_seconds() -> float:
    """Of this process and those that it has waited for."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


@contextmanager
def at_most(minutes: float | None) -> Iterator[None]:
    """Raise JobError in what takes longer; None: nothing does."""

    def late(*_: object) -> None:
        raise JobError(f"it was not trained within {minutes:g} minutes (compare.minutes)")

    if minutes is None:
        yield
        return
    before = signal(SIGALRM, late)
    setitimer(ITIMER_REAL, 60 * minutes)
    try:
        yield
    finally:
        setitimer(ITIMER_REAL, 0)
        signal(SIGALRM, before)
