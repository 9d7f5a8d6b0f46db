"""What the table `runs` says of one run."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from jobs.published.whole import in_json
from jobs.runs import schemas
from jobs.runs.code import code_version
from jobs.runs.evaluation import Evaluation
from jobs.runs.run import Run


def runs_row(
    run: Run, started: float, versions: dict[str, int], promoted: bool
) -> tuple[object, ...]:
    """The run's row; publish, begun at `started`, counts until now.

    `promoted`: its model of ratings, or biases in its place, become champion after this.
    """
    before = [run.record(step) for step in run.steps() if step not in ("publish", "promote")]
    etl = run.etl_figures
    evaluation = run.evaluation if run.trains else None
    own = evaluation.errors if evaluation else {}
    row = {
        "run_id": run.run_id,
        "ds": run.ds,
        "release": run.release,
        **{name: etl[name] for name in ("ratings", "users", "movies", "quarantined")},
        "model_version": run.model_version,
        "promoted": promoted,
        "test_rmse": own.get("test_rmse"),
        "test_mae": own.get("test_mae"),
        "rows_published": run.record("score")["rows"],
        "seconds": sum(record["seconds"] for record in before) + time.perf_counter() - started,
        "finished_at": datetime.now(UTC),
        "candidate_version": evaluation.candidate_version if evaluation else None,
        "users_scored": None if run.users is None else len(run.users),
        "validation_rmse": own.get("validation_rmse"),
        "damping": run.conf.score.damping,
        "lower_bound": run.record("score").get("lower_bound"),
        "started_at": run.started_at,
        "data_run": run.data_run,
        "versions": in_json(versions),
        **of_order(run, evaluation),
        "refit_ratings": run.record("score").get("refit_ratings"),
        "digest": run.digest,
        "code_version": code_version(),
    }
    return tuple(row[name] for name in schemas.columns_of(schemas.RUNS))


def of_order(run: Run, evaluation: Evaluation | None) -> dict[str, Any]:
    """What the row says of the models that order movies."""
    own = evaluation.order if evaluation else None
    return {
        "order_version": run.order_version,
        "order_candidate_version": own and own.candidate_version,
        "ndcg_10": own and own.ndcg_10["model"],
        "hr_10": own and own.hr_10["model"],
    }
