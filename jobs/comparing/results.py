"""What is found of each entrant, and kept: what has a result is not trained again.

A result lies in runs/<run>/comparison/<entrant>, `result.json` written last, and counts as long as
settings and data are the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.comparing.entrants import Entrant
from jobs.comparing.measuring import measured
from jobs.comparing.search import asked_of
from jobs.comparing.trainings import FAILURES, why
from jobs.runs.files import exclusive, read_json, write_json
from jobs.runs.run import Run
from model.files import make_folder
from model.list_measure import EVERYBODY

# What results hold; those that were kept before they held validation figures are made again.
HOLDS = "test and validation"


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
    trials: int | None = None
    """Trainings of the search that chose them; None: they are those of conf."""
    why_not: str | None = None
    """A sentence; None if it was measured."""
    squared_U: NDArray[np.float64] | None = None
    """Squared errors of each user with held-back ratings, in folds of every user, 0 of who has
    none there; None of what predicts none."""
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

    @property
    def validated(self) -> float | None:
        """The figure by which it may be chosen; None of a baseline."""
        if self.entrant.orders:
            return self.value("validation_ndcg", 10)
        return self.value("validation_rmse")


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
        except FAILURES as error:
            found, arrays = {"figures": [], "why_not": why(error)}, {}
            asked = failed(run, asked)
            print(f"compare: {entrant.name} is left out: {why(error)}", flush=True)
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
    own: Any = None if entrant.seed is None else run.conf.train.learning(entrant.member)
    if entrant.searched:
        own = asked_of(run, entrant.member)
    score = run.conf.score
    parts = [own, run.record("etl"), run.digest, score.damping, score.lower_bound, HOLDS]
    if entrant.fold:
        parts.append(run.conf.compare.folds)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def failed(run: Run, asked: str) -> str:
    """The fingerprint of a result that is none; with more time it might become one."""
    return f"{asked} within {run.conf.compare.minutes} minutes"
