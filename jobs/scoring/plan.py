"""What a run has to score: which movies, by which model, and whose rows it may take over instead.

Worked out before anything is written, from the run's data, settings, model and base.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.scoring.filters import allowed_movies, trained_movies
from jobs.scoring.incremental import Basis, usable_base
from model.factors import Factors
from model.ranking.damping import damped


@dataclass(frozen=True)
class ScoringPlan:
    """All that scoring a run needs to know."""

    run: Run
    model: Factors
    """Predicts ratings."""
    ranking: Factors
    """Ranks movies: the same, unless it is damped."""
    movie_ids: NDArray[np.int32]
    """The movies that may be recommended, ascending."""
    base: Run | None
    """The run whose rows are taken over for users for whom nothing has changed."""
    figures: dict[str, Any]
    """What the step records of this."""

    def __str__(self) -> str:
        f = self.figures
        taken = [f"{name} takes away {count:,}" for name, count in f["filtered"].items()]
        movies = (
            f"{f['movies_scored']:,} of {f['movies']:,} movies can be recommended: "
            f"{', '.join([*taken, format(f['movies_new'], ',')])} are new to the model"
        )
        if self.base:
            return f"{movies}. Users of whom nothing has changed keep rows of run {f['base_run']}"
        return f"{movies}. Everybody is scored: {f['why_all']}"


def plan_scoring(run: Run, version: str, model: Factors, folder: Path) -> ScoringPlan:
    """Apply the filters, damp the model, which is saved in `folder`, and look at the base.

    Raises JobError if the run cannot be scored as its settings say.
    """
    ranking = damped_model(model, run.conf.score.damping, version)
    left = allowed_movies(run)
    movie_ids = trained_movies(model, left.movie_ids)
    if not len(movie_ids):
        raise JobError(
            f"Model version {version} knows none of the {len(left.movie_ids):,} movies that the "
            "filters leave. Train a new one, or loosen the filters."
        )
    basis = Basis.of(run, version, folder, movie_ids)
    base, why_all = usable_base(run, basis)
    figures = {
        "model_version": version,
        "base_run": base and base.run_id,
        "why_all": why_all,
        "basis": asdict(basis),
        "movies": left.catalogue,
        "filtered": left.removed,
        "movies_new": len(left.movie_ids) - len(movie_ids),
        "movies_scored": len(movie_ids),
    }
    return ScoringPlan(run, model, ranking, movie_ids, base, figures)


def damped_model(model: Factors, damping: float, version: str) -> Factors:
    """The model to rank by. Raises JobError if this one cannot be damped."""
    try:
        return damped(model, damping)
    except ValueError as error:
        raise JobError(
            f"score.damping is {damping:g}, but model version {version} cannot be damped: {error}. "
            "Train a new one, or set score.damping=0."
        ) from None


def candidates_folder(run: Run) -> Path | None:
    """Where the run keeps the lists of candidates; None if it has none."""
    return run.output("candidates") if run.conf.score.candidates else None
