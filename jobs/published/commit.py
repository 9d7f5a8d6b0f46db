"""The tables that a run shows to readers, and their commits: one decision.

All files are placed and forced to disk first, then each table is committed, `runs` last: its commit
and its row name the versions of all others, and only then do readers see any of it. A publish that
fails takes back what it did; for one that was killed the next does so (jobs/published/whole.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from jobs.published.delta import Placed, commit_files, new_attempt, placing
from jobs.published.log import commit_info, newest_version
from jobs.published.runs_table import stands
from jobs.published.whole import (
    PART_OF,
    VERSIONS,
    forget_attempt,
    in_json,
    newest_versions,
    note_attempt,
    publishing,
    settle,
)
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.warehouse import Warehouse


def lists(run: Run) -> dict[str, str]:
    """The tables of recommendations that a run publishes, and the outputs that it has scored."""
    shadow = {"recommendations_shadow": "shadow"} if run.conf.score.shadow else {}
    return shadow | {"recommendations": "scored"}


def with_others(run: Run, scored: str) -> Path:
    """Where those of chosen users lie together with what was published for all others."""
    return run.output(f"merged_{scored}")


def outputs(run: Run) -> dict[str, Path]:
    """The tables that a run publishes, in this order, and the folder that each comes from."""
    metrics = {"metrics": run.output("metrics")} if run.trains else {}
    of_lists = {
        name: run.output(scored) if run.users is None else with_others(run, scored)
        for name, scored in lists(run).items()
    }
    published = metrics | of_lists | {"runs": run.output("summary")}
    # Whoever scores chosen users leaves what is published of movies.
    if run.users is None:
        published = {"similar_movies": run.output("similar_movies")} | published
    if run.data_run:
        return published
    clean = ["quarantine"] if is_outdated(run) else ["movies", "users", "ratings", "quarantine"]
    return {table: run.data(table) for table in clean} | published


def is_outdated(run: Run) -> bool:
    """Whether the clean tables hold a later date's rows already.

    Those of a date that has been taken out, or is yet to come, give way; so does a restored table,
    or one that was published before commits told their date.
    """
    table = run.warehouse.table("ratings")
    newest = newest_version(table)
    told = (commit_info(table, newest) if newest is not None else None) or {}
    if told.get("ds", "") <= run.ds.isoformat():
        return False
    ds = date.fromisoformat(told["ds"])
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return ds <= tomorrow and stands(run.warehouse, told["run_id"], ds)


def versions_after(run: Run) -> dict[str, int]:
    """The versions of all tables but `runs` that this publish will have made, or found.

    Nobody else commits meanwhile: the caller holds the lock of publish.
    """
    versions = newest_versions(run.warehouse)
    mine = [name for name in outputs(run) if name != "runs"]
    return versions | {name: versions.get(name, -1) + 1 for name in mine}


def commit(run: Run, versions: dict[str, int]) -> dict[str, int]:
    """Show a run's tables to readers, all at once; returns the new versions of those it changed.

    `versions` are those of `versions_after`, which the row in `runs` names. The caller holds the
    lock of publish, and has settled.
    """
    tables = outputs(run)
    if not run.data_run and "ratings" not in tables:
        print("publish: movies, users and ratings stay those of a later date", flush=True)
    made = {}
    with attempting(run.warehouse) as attempt, ExitStack() as placed_until_committed:
        placed = {
            table: placed_until_committed.enter_context(
                placing(place_of(run, table), folder, attempt)
            )
            for table, folder in tables.items()
        }
        # All that takes room, and time, comes before the first commit.
        for files in placed.values():
            files.sync()
        told = told_by(run) | {"model_version": run.model_version, PART_OF: attempt}
        for table, files in placed.items():
            decision = {VERSIONS: in_json(versions)} if table == "runs" else {}
            made[table] = commit_files(files, told | decision)
            if made[table] != versions.get(table, made[table]):
                raise JobError(
                    f"Somebody else has committed to table {table} while this run was publishing. "
                    "Let nothing but Nightreel write to the tables, and run publish again."
                )
    for table, version in made.items():
        print(f"publish: {table} is at version {version}", flush=True)
    return made


@contextmanager
def attempting(warehouse: Warehouse) -> Iterator[str]:
    """Yield the mark of an attempt; what it leaves if it fails is taken back, or by the next."""
    attempt = new_attempt()
    note_attempt(warehouse, attempt)
    try:
        yield attempt
    except BaseException:
        # On a full disk this may fail as well.
        with suppress(Exception):
            settle(warehouse)
        raise
    forget_attempt(warehouse)


def commit_alone(run: Run, table: str) -> int:
    """Show the run's rows of one of schemas.ALONE; returns the table's new version."""
    warehouse, folder = run.warehouse, run.output(table)
    with (
        publishing(warehouse),
        attempting(warehouse) as attempt,
        placing(place_of(run, table), folder, attempt) as placed,
    ):
        placed.sync()
        return commit_files(placed, told_by(run))


def told_by(run: Run) -> dict[str, str]:
    """What every commit of a run says."""
    return {"run_id": run.run_id, "ds": run.ds.isoformat()}


def place_of(run: Run, table: str) -> Placed:
    """Where the run's files of a table go, and what they replace."""
    schema, partition_by = schemas.PUBLISHED[table]
    own = told_by(run)
    replace = {column: own[column] for column in partition_by}
    return Placed(run.warehouse.table(table), schemas.in_json(schema), partition_by, replace)
