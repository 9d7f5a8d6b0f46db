"""Runs on data that says only who used what: every rating is a one, and there is none to predict.

Their model of ratings is the biases, which then know a mean of one and nothing else; movies are
ordered by the model of order alone, and tables have no predicted ratings.
"""

from __future__ import annotations

from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.whole import Configuration

MODEL = "biases"


def for_ones(conf: Configuration) -> Configuration:
    """The settings for such data. Raises JobError where they ask for what only ratings give."""
    score, order = conf.score, conf.train.order.model
    asked = {
        "train.order.model=none": order == "none",
        "score.order_by=rating": score.order_by == "rating",
        "score.lower_bound": score.lower_bound is not None,
        "score.uncertainty=true": score.uncertainty,
    }
    for name in (name for name, is_asked in asked.items() if is_asked):
        raise JobError(
            "The data holds no ratings, so every line is a one, and only a model of order can "
            f"order movies: {name} does not go with that. Take it out; or if a column holds "
            "ratings, name it in ingest.columns.rating."
        )
    return conf.model_copy(update={"train": conf.train.model_copy(update={"model": MODEL})})


def require_measure(run: Run) -> None:
    """Raise JobError where a run on such data can have no model of order."""
    if run.implicit and not run.measures_order:
        raise JobError(
            f"Run {run.run_id}: the data holds no ratings, and no user has used something later by "
            "which a model of order could be measured. It takes users with at least 3 lines each."
        )


def require_order(run: Run, order_version: str | None) -> None:
    """Raise JobError where nothing could order movies but predicted ratings, which are all ones."""
    if run.implicit and order_version is None:
        raise JobError(
            f"Run {run.run_id}: the data holds no ratings, and no model of order is good enough, "
            "so nothing would order the lists and none were made. The log of evaluate says how "
            "good it is; another may be better, as in --set train.order.model=ials"
        )
