"""What a run has to score: which movies, by which models, and whose rows it may take over instead.

Worked out before anything is written, from the run's data, settings, models and base.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.scoring import ScoreSettings
from jobs.scoring.filters import allowed_movies
from jobs.scoring.folding import Known, of_tonight
from jobs.scoring.genres import Genres
from jobs.scoring.incremental import Basis, rests_on_histories, usable_base
from jobs.scoring.models import Models
from jobs.scoring.new_movies import Newcomers
from jobs.scoring.reasons import Explained
from jobs.scoring.shown import Shown
from jobs.scoring.uncertainty import known_to, need_of
from jobs.scoring.variants import Variant
from jobs.training.fresh_rows import with_fresh_rows
from model.factors import Factors
from model.ranking.lower_bound import by_rating


@dataclass(frozen=True)
class ScoringPlan:
    """All that scoring a run needs to know."""

    run: Run
    models: Models
    """The versions that score, as they are in the registry."""
    model: Factors
    """Predicts ratings: with rows of tonight for users who are new to it, or have rated since."""
    ranking: Factors
    """Ranks movies: the same, perhaps damped or as a lower bound; or a model of order, with rows of
    the run's users."""
    movie_ids: NDArray[np.int32]
    """The movies that may be recommended, ascending."""
    base: Run | None
    """The run whose rows are taken over for users for whom nothing has changed."""
    uncertainty: bool
    """Whether rows say how far off a rating may be."""
    explained: Explained | None
    """What rows' reasons are found by; None where none are asked for, or can be given."""
    figures: dict[str, Any]
    """What the step records of this."""
    shown: Shown = field(default_factory=Shown)
    """What users were shown of late, and are not shown now."""
    genres: Genres | None = None
    """What lists are chosen by besides scores; None: they are by score alone."""
    newcomers: Newcomers | None = None
    """New movies that have places in lists; rows of theirs are in both models."""
    user_ids: NDArray[np.int32] | None = None
    """Whom to score, ascending; None: everybody in the run's data."""
    known: Known | None = None
    """What the run knows of its users, where that was read."""

    def __str__(self) -> str:
        f = self.figures
        taken = [f"{name} takes away {count:,}" for name, count in f["filtered"].items()]
        movies = (
            f"{f['movies_scored']:,} of {f['movies']:,} movies can be recommended: "
            f"{', '.join([*taken, format(f['movies_new'], ',')])} are new to the model"
        )
        if f["new_movies"]:
            movies += f". {f['new_movies']:,} new ones have places by what is known of them"
        if f["order_version"]:
            movies += f". They are ordered by version {f['order_version']} of order"
        if self.shown.nights:
            nights = ", ".join(map(str, self.shown.nights))
            movies += f". Users are not shown again what they were on {nights}"
        if self.base:
            return f"{movies}. Users of whom nothing has changed keep rows of run {f['base_run']}"
        return f"{movies}. Everybody is scored: {f['why_all']}"


def plan_scoring(run: Run, variant: Variant, known: Known | None = None) -> ScoringPlan:
    """Apply the filters, look at the base, and make ready what ranks.

    `known` is what the run knows of its users, if it was read already. Raises JobError if the run
    cannot be scored as its settings say.
    """
    models, rating = variant.models, variant.models.rating
    settings = known_to(rating.factors, run.conf.score)
    if settings != run.conf.score:
        print(
            f"score: {need_of(run.conf.score)}, but version {rating.version} does not say how far "
            "a rating may be from its prediction: rating_sd stays empty, and damping orders",
            flush=True,
        )
    left = allowed_movies(run)
    movie_ids = models.known(left.movie_ids)
    if not len(movie_ids):
        raise JobError(
            f"Model version {models.rating.version} knows none of the {len(left.movie_ids):,} "
            "movies that the filters leave. Train a new one, or loosen the filters."
        )
    genres = Genres.read(run) if settings.by_genres else None
    newcomers = Newcomers.of(run, models)
    if settings.new_movies and newcomers is None:
        print(
            f"score: score.new_movies is {settings.new_movies}, but of the movies that the filters "
            "leave none is new to the models and has a genre or a year: no places are kept",
            flush=True,
        )
    basis = Basis.of(run, models, movie_ids, genres, newcomers)
    rests = rests_on_histories(rating.factors, basis.order_version)
    base, why_all = usable_base(run, basis, rests, variant.name)
    if rests and known is None:
        known = Known.of(run)
    own = known if rests else None
    # Of a variant without users, models keep rows of everybody.
    if own and variant.user_ids is not None and len(variant.user_ids):
        own = own.among(variant.user_ids)
    model = of_tonight(rating, own)
    if newcomers:
        model = newcomers.added_to(model, rating.factors)
    ranking = ranking_model(run, model, models, own, newcomers)
    explained = Explained.of(models, own) if own and settings.reasons else None
    shown = Shown.before(run)
    figures = {
        "model_version": models.rating.version,
        "order_version": models.order.version if models.order else None,
        "lower_bound": settings.lower_bound,
        "refit_ratings": models.rating.factors.manifest.get("refit_ratings"),
        "base_run": base and base.run_id,
        "why_all": why_all,
        "basis": asdict(basis),
        "movies": left.catalogue,
        "filtered": left.removed,
        "movies_new": len(left.movie_ids) - len(movie_ids),
        "movies_scored": len(movie_ids),
        "nights_before": [night.isoformat() for night in shown.nights],
        "new_movies": len(newcomers.ids) if newcomers else 0,
    }
    return ScoringPlan(
        run,
        models,
        model,
        ranking,
        movie_ids,
        base,
        settings.uncertainty,
        explained,
        figures,
        shown,
        genres,
        newcomers,
        variant.user_ids,
        known,
    )


def ranking_model(
    run: Run,
    model: Factors,
    models: Models,
    known: Known | None,
    newcomers: Newcomers | None = None,
) -> Factors:
    """What movies are ranked by: `model`, with rows of tonight, unless there is a model of order.

    Raises JobError if it cannot rank as the settings say.
    """
    order = models.order
    if order is None:
        return ranked_by_rating(model, run.conf.score, models.rating.version)
    assert known is not None, "rows of order rest on histories"
    told = known.histories, known.user_ids_U, known.movie_ids_M
    try:
        ranking = with_fresh_rows(order.factors, order.folder, *told)
    except ValueError as error:
        raise JobError(f"Version {order.version} of order cannot be used: {error}") from error
    return newcomers.added_to(ranking, order.factors) if newcomers else ranking


def ranked_by_rating(model: Factors, settings: ScoreSettings, version: str) -> Factors:
    """The model to rank by. Raises JobError if this one cannot be damped."""
    settings = known_to(model, settings)
    try:
        return by_rating(model, settings.damping, settings.lower_bound)
    except ValueError as error:
        raise JobError(
            f"score.damping is {settings.damping:g}, but model version {version} cannot be "
            f"damped: {error}. Train a new one, or set score.damping=0."
        ) from None


def candidates_folder(run: Run) -> Path | None:
    """Where the run keeps the lists of candidates; None if it has none."""
    return run.output("candidates") if run.conf.score.candidates else None
