"""The best by validation of a comparison, put through the gates of a nightly run.

What comes before a gate is registered; what passes learns from all ratings where train.refit says
so, and becomes the champion, as in a night: jobs/training has each of these. Nothing is published;
the next night that trains nothing better scores by it, and its audit stands before readers as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jobs.comparing.entrants import with_settings
from jobs.comparing.measuring import spec_of
from jobs.comparing.results import Result, folder_of
from jobs.comparing.search import found_of
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.training import OrderSettings
from jobs.training.order_gate import evaluate_order
from jobs.training.promotion import promote_order, promote_rating
from jobs.training.rating_gate import evaluate_rating
from jobs.training.refitting import refit_order, refit_rating
from jobs.training.registry import Registry
from jobs.training.specs import same_order_split, same_split
from model.factors import load_factors

Objective = Literal["rating", "order"]


@dataclass(frozen=True)
class Crowning:
    """What became of the best of a section."""

    objective: Objective
    entrant: str
    version: str | None
    """What it is registered as; None: it did not come before the gate."""
    promoted: bool
    reason: str
    """What the gate found, or why it was not asked, in a sentence."""

    @property
    def told(self) -> str:
        """A line about it."""
        if self.version is None:
            return f"{self.entrant} is not put through the gate of {self.objective}: {self.reason}"
        became = "is the champion" if self.promoted else "does not become the champion"
        return (
            f"{self.entrant}, version {self.version}, {became} of {self.objective}: {self.reason}"
        )


def best_by_validation(results: Sequence[Result], objective: Objective) -> Result | None:
    """The training to choose: of test rows nobody asks here. None if there is none."""
    orders = objective == "order"
    found = [
        result
        for result in results
        if result.entrant.orders == orders and not result.why_not and result.validated is not None
    ]
    sign = 1 if orders else -1
    return max(found, key=lambda each: sign * (each.validated or 0.0), default=None)


def crown_best(run: Run, results: Sequence[Result]) -> Iterator[Crowning]:
    """Put the best of each section through its gate, and crown it if it passes.

    Raises JobError if what was trained is no longer whole.
    """
    for objective, through in (("rating", rating_through), ("order", order_through)):
        if best := best_by_validation(results, objective):  # type: ignore[arg-type]
            try:
                crowning = through(run, best)
            except ValueError as error:
                raise JobError(str(error)) from error
            print(f"compare: {crowning.told}", flush=True)
            yield crowning


def rating_through(run: Run, best: Result) -> Crowning:
    """The best of ratings, through the gate of ratings."""
    own = settings_of(run, best, model=best.entrant.member)
    # Not the one that there was when the run began: that may have been followed by others.
    registry, name = Registry.of(own), best.entrant.name
    own, folder = replace(own, champion=registry.champion()), folder_of(run, best.entrant)
    if other := another_split(registry, own.champion, folder / "factors", same_split):
        return Crowning("rating", name, None, False, other)
    evaluation = evaluate_rating(own, folder / "factors")
    passed = promoted = evaluation.scores == "model"
    if passed:
        if own.conf.train.refit:
            refit_rating(own, evaluation, spec_of(own, best.entrant))
        promoted = promote_rating(own, evaluation)["promoted"]
    reason = evaluation.reason if promoted == passed else overtaken(evaluation.reason)
    return Crowning("rating", name, evaluation.candidate_version, promoted, reason)


def order_through(run: Run, best: Result) -> Crowning:
    """The best of order, through the gate of order."""
    own = settings_of(run, best, order=OrderSettings(model=best.entrant.member))
    registry, name = Registry.of(own, "order"), best.entrant.name
    own, folder = replace(own, order_champion=registry.champion()), folder_of(run, best.entrant)
    if other := another_split(registry, own.order_champion, folder / "factors", same_order_split):
        return Crowning("order", name, None, False, other)
    evaluation, _ = evaluate_order(own, folder=folder / "factors")
    passed = promoted = evaluation.promoted
    if passed:
        if own.conf.train.refit:
            refit_order(own, evaluation, spec_of(own, best.entrant))
        promoted = promote_order(own, evaluation)["order_promoted"]
    reason = evaluation.reason if promoted == passed else overtaken(evaluation.reason)
    return Crowning("order", name, evaluation.candidate_version, promoted, reason)


def another_split(
    registry: Registry,
    champion: str | None,
    folder: Path,
    same: Callable[[dict[str, Any], dict[str, Any]], bool],
) -> str | None:
    """Why a training cannot follow a champion, in a sentence; None if both had the same split.

    Of two splits, each has learned from what the other holds back: neither this gate nor that of
    the nights to come, which go on with the champion's, could tell who is better.
    """
    if champion is None:
        return None
    _, theirs = registry.measured(champion)
    if same(load_factors(folder).manifest["data"], theirs.manifest["data"]):
        return None
    return (
        f"today's champion, version {champion}, was trained on another split, so that it has "
        "learned from ratings that are held back here. Compare on the split that nights have "
        "(etl.split and its shares), or take the champion's alias away in MLflow"
    )


def overtaken(found: str) -> str:
    """Why what passed the gate is not the champion."""
    return (
        f"{found}, but another run has made a champion meanwhile, with which it was not compared. "
        "Call compare again"
    )


def settings_of(run: Run, best: Result, **chosen: object) -> Run:
    """The run, were it a night that trains what was found best."""
    entrant, settings = best.entrant, {}
    if entrant.searched and (found := found_of(run, entrant.member)):
        settings = found.best.settings
    return with_settings(run, entrant.member, settings, seed=entrant.seed, **chosen)
