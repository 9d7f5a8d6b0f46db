"""Every question to the table `runs`.

A row with `users_scored` is of a run that scored chosen users: of its date, most rows that readers
see are another run's. Each question says whether such runs count.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import duckdb

from jobs.published.delta import is_published
from jobs.published.views import connect
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.warehouse import Warehouse

# By date; of one date, the run that finished last.
NEWEST = "order by ds desc, finished_at desc limit 1"


def ask(warehouse: Warehouse, query: str, parameters: object = None) -> list[tuple[Any, ...]]:
    """The rows that answer a query of `runs`; none before anything was published."""
    if not is_published(warehouse, "runs"):
        return []
    with connect(warehouse, ("runs",)) as tables:
        return tables.execute(query, parameters).fetchall()


class LatestRun(NamedTuple):
    """The published run of the newest date: whose ratings, movies and users the tables hold."""

    run_id: str
    ds: date
    release: str
    model_version: str


def latest_run(connection: duckdb.DuckDBPyConnection) -> LatestRun:
    """The newest run, in the version of `runs` that the connection shows.

    Runs of chosen users do not count: the tables hold next to nothing of them. Raises JobError if
    no run has published everything yet.
    """
    row = connection.execute(
        f"select run_id, ds, release, model_version from runs where users_scored is null {NEWEST}"
    ).fetchone()
    if row is None:
        raise JobError("No run has been published to the end yet. Make one with: make nightly")
    return LatestRun(*row)


def latest_release(warehouse: Warehouse) -> str | None:
    """The release of the run that `latest_run` tells of; None before there is one."""
    found = ask(warehouse, f"select release from runs where users_scored is null {NEWEST}")
    return found[0][0] if found else None


def newest_date(warehouse: Warehouse) -> date | None:
    """The date of the newest run, which keeps its recommendations however few dates stay.

    Runs of chosen users do not count, as in `latest_run`: it is the date that readers are shown.
    """
    [(ds,)] = ask(warehouse, "select max(ds) from runs where users_scored is null") or [(None,)]
    return ds


def newest_other(run: Run) -> tuple[str, date] | None:
    """Id and date of the newest run of the release but this one, whose rows it may take over.

    Runs of chosen users do not count: they wrote the rows of these users alone.
    """
    query = (
        "select run_id, ds from runs "
        f"where release = ? and run_id <> ? and users_scored is null {NEWEST}"
    )
    found = ask(run.warehouse, query, [run.release, run.run_id])
    return (found[0][0], found[0][1]) if found else None


def previous_ratings(run: Run) -> int | None:
    """Ratings of the newest run of the release up to this one's date; None if there is none.

    Runs of chosen users count: the ratings are those of the data, whoever was scored.
    """
    query = f"select ratings from runs where release = ? and run_id <> ? and ds <= ? {NEWEST}"
    found = ask(run.warehouse, query, [run.release, run.run_id, run.ds])
    return found[0][0] if found else None


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
    """The newest run of the release before this one.

    Runs of chosen users count: the sizes are those of the data, and recommendations are compared
    among the users of both runs.
    """
    query = f"""
        select run_id, ds, ratings, users, movies, test_rmse from runs
        where release = $release and run_id <> $run_id and (ds < $ds or (ds = $ds and
            finished_at < (select max(finished_at) from runs where run_id = $run_id)))
        {NEWEST}
        """
    told = {"release": run.release, "run_id": run.run_id, "ds": run.ds}
    found = ask(run.warehouse, query, told)
    return Previous(*found[0]) if found else None


def published_last(warehouse: Warehouse, release: str) -> str | None:
    """The run of a release that published last of those that trained; None: none did.

    Whether any of its models was good enough, its records say.
    """
    query = """
        select run_id from runs where release = ? and candidate_version is not null
        order by finished_at desc limit 1
        """
    found = ask(warehouse, query, [release])
    return found[0][0] if found else None


def runs_of(warehouse: Warehouse, ds: date) -> set[str]:
    """The runs that have published for a date."""
    return {run_id for (run_id,) in ask(warehouse, "select run_id from runs where ds = ?", [ds])}


def runs_of_release(warehouse: Warehouse, release: str) -> list[str]:
    """The runs that have published rows of a release, whomever they scored."""
    query = "select distinct run_id from runs where release = ? order by run_id"
    return [run_id for (run_id,) in ask(warehouse, query, [release])]


def stands(warehouse: Warehouse, run_id: str, ds: date) -> bool:
    """Whether a run is known to have published everything for a date."""
    return bool(ask(warehouse, "select 1 from runs where run_id = ? and ds = ?", [run_id, ds]))


def newer_run(run: Run) -> str | None:
    """The run that stands for this one's date, if it is newer than this one; None: none is.

    Newer is who has newer data: whose ingest began later. Of the same data, who began later. What
    had been published before this run began is what it is meant to replace.
    """
    query = """
        select r.run_id, r.finished_at, coalesce(d.started_at, r.started_at), r.started_at
        from runs r left join runs d on d.run_id = r.data_run
        where r.ds = ? and r.run_id <> ? order by r.finished_at desc limit 1
        """
    found = ask(run.warehouse, query, [run.ds, run.run_id])
    if not found or None in found[0]:
        return None
    run_id, *times = found[0]
    finished, *theirs = [time.replace(tzinfo=UTC) for time in times]
    if finished < run.started_at:
        return None
    # A clock that was wrong does not hold a date for ever.
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    if max(theirs) > tomorrow:
        return None
    return run_id if [run.data_started_at, run.started_at] < theirs else None


def readers_runs(warehouse: Warehouse) -> set[str]:
    """Of each release, the runs that later ones and readers go back to: they are not cleared up.

    Those are the newest, which the next is compared with, and the newest that did not score chosen
    users, which `latest_run` tells of.
    """
    query = """
        select unnest([
            arg_max(run_id, (ds, finished_at)),
            arg_max(run_id, (ds, finished_at)) filter (users_scored is null)
        ]) from runs group by release
        """
    return {run_id for (run_id,) in ask(warehouse, query) if run_id is not None}


def releases_of(warehouse: Warehouse, run_ids: Collection[str]) -> set[str]:
    """The releases of these runs, whomever they scored."""
    query = "select distinct release from runs where run_id in (select unnest(?))"
    return {release for (release,) in ask(warehouse, query, [list(run_ids)])}
