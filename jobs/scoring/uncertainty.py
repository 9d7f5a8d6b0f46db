"""Which models say how far off a rating may be, and the settings that need one of them."""

from __future__ import annotations

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.scoring import ScoreSettings
from model.factors import Factors
from model.family import RATING_MODELS, load

MEND = "set score.uncertainty=false and score.lower_bound=null"


def need_of(settings: ScoreSettings) -> str | None:
    """The setting that needs deviations, with its value; None if none does."""
    if settings.uncertainty:
        return "score.uncertainty is true"
    if settings.lower_bound is not None:
        return f"score.lower_bound is {settings.lower_bound:g}"
    return None


def knows_sd(model: str) -> bool:
    """Whether a model of the family says how far a rating may be from its prediction."""
    return getattr(load(model), "knows_sd", False)


def refuse_to_train(run: Run) -> None:
    """Raises JobError if the model that is to be trained will not know what settings ask for."""
    need, model = need_of(run.conf.score), run.conf.train.model
    if need and not knows_sd(model):
        knowing = " or ".join(filter(knows_sd, RATING_MODELS))
        raise JobError(
            f"{need}, but {model} does not say how far a rating may be from its prediction. Take "
            f"train.model={knowing}, or {MEND}."
        )


def known_to(model: Factors, settings: ScoreSettings) -> ScoreSettings:
    """The settings, without those that need deviations where the model that scores knows none.

    A night ends with what there is: the version may be a champion of another model.
    """
    if model.knows_sd:
        return settings
    return settings.model_copy(update={"uncertainty": False, "lower_bound": None})


def refuse_to_score(settings: ScoreSettings, model: Factors, version: str) -> None:
    """Raises JobError if the model that is to score does not know what settings ask for."""
    if (need := need_of(settings)) and not model.knows_sd:
        raise JobError(
            f"{need}, but model version {version} does not say how far a rating may be from its "
            f"prediction. Train one that does, as train.model=bayesian, or {MEND}."
        )
