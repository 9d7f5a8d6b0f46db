"""The champion: what a run that has published makes of its model.

Publishing and promoting are two decisions, in this order. Between them the tables are of a model
that is not the champion yet; a run that is stopped there owes its promotion, and whoever next asks
for the champion makes up for it, and says so.
"""

from __future__ import annotations

from typing import Any

from jobs.runs.errors import JobError
from jobs.runs.evaluation import Evaluation
from jobs.runs.files import exclusive, write_json
from jobs.runs.order_evaluation import OrderEvaluation
from jobs.runs.run import Run, open_run
from jobs.training.registry import CHAMPION, RUN_TAG, Registry


def promote(run: Run) -> dict[str, Any]:
    """Make a run's versions champions, unless a later run has set others; returns the figures."""
    evaluation = run.evaluation
    ratings = promote_rating(run, evaluation)
    return {**ratings, "release": run.release, **promote_order(run, evaluation.order)}


def crown(run: Run, registry: Registry, version: str) -> tuple[str, bool]:
    """Make a version the champion; returns who is champion now, and whether that is the version."""
    champion = set_champion(registry, version, run)
    if champion == version:
        print(f"version {version} of {registry.name} is the champion", flush=True)
    else:
        print("a later run has already set a newer champion: it stays", flush=True)
    return champion, champion == version


def set_champion(registry: Registry, version: str, run: Run) -> str:
    """Make a run's version the champion; returns who is champion now.

    That is another version if another run has crowned it since this run started.
    """
    client = registry.client  # whose making takes the lock, too
    with registry.lock():
        if may_crown(registry, run):
            client.set_registered_model_alias(registry.name, CHAMPION, version)
            registry.settle()
            return version
        return registry.champion() or version


def may_crown(registry: Registry, run: Run) -> bool:
    """Whether the champion is still the one that a run's model was compared with, or its own.

    It is not if another run has crowned one meanwhile, with which nobody has compared it.
    """
    current = registry.champion()
    known = run.champion if registry.objective == "rating" else run.order_champion
    if current is None or current == known:
        return True
    return registry.model_version(current).tags.get(RUN_TAG) == run.run_id


def promote_rating(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    """The figures of the model of ratings, which may be none of this run's."""
    registry = Registry.of(run)
    champion, promoted = evaluation.model_version, False
    if evaluation.promoted:
        version = evaluation.fallback_version or evaluation.candidate_version
        champion, promoted = crown(run, registry, version)
    assert champion is not None
    # Of this run's own version None where the run has no test ratings.
    ours = promoted or not evaluation.promoted
    own = evaluation.rmse_of_scored("test")
    rmse = own if ours and own is not None else registry.test_rmse(champion)
    return {"promoted": promoted, "model_version": champion, "test_rmse": rmse}


def promote_order(run: Run, evaluation: OrderEvaluation | None) -> dict[str, Any]:
    """The figures of the model of order, where the run trained one."""
    if evaluation is None:
        return {"order_promoted": False, "order_version": None}
    champion, promoted = evaluation.model_version, False
    if evaluation.promoted:
        version = evaluation.candidate_version
        champion, promoted = crown(run, Registry.of(run, "order"), version)
    return {"order_promoted": promoted, "order_version": champion}


def present_champion(registry: Registry, published_last: str | None) -> str | None:
    """The champion, once the run that published last has made up for a promotion that it owes."""
    if published_last:
        try:
            run = open_run(registry.warehouse, published_last)
        except JobError:
            # It was cleared up, and owes nothing any more.
            return registry.champion()
        if run.must_promote:
            print(
                f"run {run.run_id} has published and was stopped before it had promoted its model",
                flush=True,
            )
            # Not as a step, which needs the record of publish: a run that was killed between its
            # last commit and that record has published too.
            with exclusive(run.folder / ".lock", "another attempt at this run to end"):
                write_json(run.record_file("promote"), promote(run) | {"seconds": 0.0})
    return registry.champion()
