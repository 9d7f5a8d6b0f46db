"""The rows of the table `metrics` that a run's evaluation gives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jobs.engines.duck import write_few_rows
from jobs.runs.evaluation import Evaluation
from jobs.runs.run import Run
from model.list_measure import EVERYBODY, Figure


def write_metrics(run: Run, evaluation: Evaluation, of_order: dict[str, list[Figure]]) -> int:
    """Write `metrics`, replacing what is there; returns the number of rows.

    `of_order` are the figures of lists by what was measured, empty where the run has no such model.
    """
    rows = [
        (run.run_id, run.ds, version, evaluation.measured_on, EVERYBODY, name, *figure)
        for version, name, *figure in errors_of(evaluation)
    ]
    if evaluation.order:
        split = f"{evaluation.order.split} test"
        rows += [
            (run.run_id, run.ds, version, split, *map(known, figure))
            for version, figures in of_order.items()
            for figure in figures
        ]
    write_few_rows(run.output("metrics"), "metrics", rows)
    return len(rows)


def known(value: Any) -> Any:
    """None for the interval of what has none."""
    return None if isinstance(value, float) and math.isnan(value) else value


def errors_of(evaluation: Evaluation) -> Iterator[tuple[str, str, None, float, None, None]]:
    """The errors of ratings, by what made them: a version, the biases or the mean."""
    names = {"model": f"rating/{evaluation.candidate_version}"}
    for name, errors in (("rmse", evaluation.rmse), ("mae", evaluation.mae)):
        for whose, value in errors.items():
            yield names.get(whose, whose), name, None, value, None, None
    for name, value in evaluation.inside.items():
        yield names["model"], name, None, value, None, None
