"""Decide whether a run trains models of its own, or scores with the champions.

    nightreel plan --run-id <run>

The settings of `retrain` decide, by what etl counted and what the champion had learned from:
    always       every run trains
    weekly       trains when the champion is 7 days old or older, by the dates of the runs
    new-ratings  trains when there are retrain.new_ratings_share more ratings than the champion had
    never        scores only
A champion of another model than train.model, as where only the biases were good enough, makes a
training due with weekly and new-ratings too. Without a champion a run trains, whatever the policy;
only `never` then stops it. A model that was not good enough changes nothing: the next run that is
due trains again.

Where train.order.model names a model of order, its champion is looked at in the same way, and both
are trained where one is due. Without such a champion movies are ordered by predicted rating, until
a training that is due gives one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.implicit import require_measure
from jobs.runs.run import Run, run_of
from jobs.runs.settings.training import RetrainSettings
from jobs.scoring.plan import ranked_by_rating
from jobs.scoring.uncertainty import refuse_to_train
from jobs.training.registry import Registry


@dataclass(frozen=True)
class Champion:
    """What is known of the version that scores until a better one is trained."""

    version: str
    ds: date | None
    """Date of the run that trained it; None if it does not say."""
    ratings: int | None
    """Ratings, of all splits, in that run; None if it does not say."""
    model: str
    """Which of the family it is."""


@dataclass(frozen=True)
class Plan:
    """Whether to train, and why, in a sentence."""

    train: bool
    reason: str


def decide(
    settings: RetrainSettings,
    ds: date,
    ratings: int,
    champion: Champion | None,
    model: str,
    of_order: bool = False,
) -> Plan:
    """Apply the policy to a run of date `ds` that would train `model` on so many ratings.

    Raises JobError if it cannot.
    """
    if champion is None:
        if settings.policy == "never":
            raise JobError(
                "There is no champion to score with yet: train once, with retrain.policy=always "
                "(in Airflow: mode full)."
            )
        return Plan(True, "there is no champion yet")
    name = f"champion {champion.version}{' of order' if of_order else ''}"
    if settings.policy == "always":
        return Plan(True, "every run trains")
    if settings.policy == "never":
        return Plan(False, f"{name} scores, because the run is to score only")
    if champion.model != model:
        return Plan(True, f"{name} is of {champion.model}, and {model} is to be trained")
    if champion.ds is None or champion.ratings is None:
        return Plan(True, f"{name} does not say what it was trained on")
    if settings.policy == "weekly":
        days = (ds - champion.ds).days
        return Plan(days >= 7, f"{name} is {days} days old, and 7 make a training due")
    share, due = ratings / champion.ratings - 1, settings.new_ratings_share
    return Plan(
        share >= due, f"{share:+.1%} ratings since {name}, and {due:+.1%} make a training due"
    )


def decide_both(run: Run, ratings: int) -> Plan:
    """The plan of a run's model of ratings, or of its model of order where that one makes it train.

    Raises JobError if there is nothing to score with.
    """
    settings, train = run.conf.retrain, run.conf.train
    champion = champion_of(Registry.of(run), run.champion)
    plan = decide(settings, run.ds, ratings, champion, train.model)
    if plan.train or not run.trains_order or run.order_champion is None:
        return plan
    champion = champion_of(Registry.of(run, "order"), run.order_champion)
    of_order = decide(settings, run.ds, ratings, champion, train.order.model, of_order=True)
    return of_order if of_order.train else plan


def champion_of(registry: Registry, version: str | None) -> Champion | None:
    """The champion that the run started from, as its manifest describes it."""
    if version is None:
        return None
    manifest = registry.factors(version).manifest
    ds = manifest.get("ds")
    return Champion(
        version,
        date.fromisoformat(ds) if ds else None,
        manifest.get("ratings"),
        # What was saved before there was a family names none.
        manifest.get("model", "matrix_factorisation"),
    )


def refuse_champion(run: Run) -> None:
    """Raises JobError if the champion cannot be scored with as the settings of score say."""
    if run.champion is None:
        return
    model = Registry.of(run).factors(run.champion)
    if run.conf.score.order_by == "rating" or run.order_champion is None:
        ranked_by_rating(model, run.conf.score, run.champion)


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("plan") as figures:
        require_measure(run)
        plan = decide_both(run, run.record("etl")["ratings"])
        # Better now than in score, after everything else.
        if plan.train:
            refuse_to_train(run)
        else:
            refuse_champion(run)
        print(f"{'train' if plan.train else 'score only'}: {plan.reason}", flush=True)
        figures.update(train=plan.train, reason=plan.reason, model_version=run.champion)
        figures.update(order_version=run.order_champion)


if __name__ == "__main__":
    run_command(main)
