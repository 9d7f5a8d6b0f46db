"""Every question to the table `runs`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from jobs.published.delta import (
    is_published,
)
from jobs.published.views import connect
from jobs.runs.errors import JobError
from jobs.runs.run import Run


class LatestRun(NamedTuple):
    """The published run of the newest date: whose ratings, movies and users the tables hold."""

    run_id: str
    ds: date
    release: str
    model_version: str


def latest_run(connection: duckdb.DuckDBPyConnection) -> LatestRun:
    """The newest row of `runs`, by date; of one date, the one that finished last.

    Raises JobError if no run has published everything yet.
    """
    row = connection.execute(
        # Of a run that scored some users again, the tables hold next to nothing.
        "select run_id, ds, release, model_version from runs where users_scored is null "
        "order by ds desc, finished_at desc limit 1"
    ).fetchone()
    if row is None:
        raise JobError("No run has been published to the end yet. Make one with: make nightly")
    return LatestRun(*row)


def previous_ratings(run: Run) -> int | None:
    """Ratings of the newest published run of the release before this one; None if there is none."""
    if not is_published(run.warehouse, "runs"):
        return None
    query = (
        "select ratings from runs where release = ? and run_id <> ? and ds <= ? "
        "order by ds desc, finished_at desc limit 1"
    )
    with connect(run.warehouse, ("runs",)) as tables:
        row = tables.execute(query, [run.release, run.run_id, run.ds]).fetchone()
    return row[0] if row else None


class Previous(NamedTuple):
    """A row of `runs`."""

    run_id: str
    ds: Any
    ratings: int
    users: int
    movies: int
    test_rmse: float | None
    """Of the model that the run trained; None if it trained none."""


def previous_run(run: Run) -> Previous | None:
    """The newest run of the release before this one; of one date, the one that finished last."""
    if not is_published(run.warehouse, "runs"):
        return None
    with connect(run.warehouse, ("runs",)) as connection:
        row = connection.execute(
            """
            select run_id, ds, ratings, users, movies, test_rmse from runs
            where release = $release and run_id <> $run_id and (ds < $ds or (ds = $ds and
                finished_at < (select max(finished_at) from runs where run_id = $run_id)))
            order by ds desc, finished_at desc limit 1
            """,
            {"release": run.release, "run_id": run.run_id, "ds": run.ds},
        ).fetchone()
    return None if row is None else Previous(*row)


def readers_runs(warehouse: Path) -> set[str]:
    """Of each release, the run that readers are told of as the newest."""
    if not is_published(warehouse, "runs"):
        return set()
    query = "select arg_max(run_id, (ds, finished_at)) from runs group by release"
    with connect(warehouse, ("runs",)) as tables:
        return {row[0] for row in tables.sql(query).fetchall()}
