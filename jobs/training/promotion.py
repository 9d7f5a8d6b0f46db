"""The champion: what a run that has published makes of its model.

Publishing and promoting are two decisions, in this order. Between them the tables are of a model
that is not the champion yet; a run that is stopped there owes its promotion, and whoever next asks
for the champion makes up for it, and says so.
"""

from __future__ import annotations

from typing import Any

from jobs.runs.errors import JobError
from jobs.runs.run import Run, open_run
from jobs.training.registry import Registry


def promote(run: Run) -> dict[str, Any]:
    """Make a run's version the champion, unless a later run has set one; returns the figures."""
    evaluation = run.evaluation
    version = evaluation.fallback_version or evaluation.candidate_version
    registry = Registry.of(run)
    champion = registry.promote(version, run)
    promoted = champion == version
    if promoted:
        print(f"version {version} is the champion of {run.release}", flush=True)
    else:
        print("a later run has already set a newer champion: it stays", flush=True)
    # Of this run's own version None where the run has no test ratings.
    own = evaluation.rmse_of_scored("test")
    return {
        "promoted": promoted,
        "model_version": champion,
        "release": run.release,
        "test_rmse": own if promoted else registry.test_rmse(champion),
    }


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
            with run.step("promote") as figures:
                figures.update(promote(run))
    return registry.champion()
