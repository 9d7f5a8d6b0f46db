"""The tables that a run shows to readers, and the commit of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.published.delta import is_published, open_table, publish_files
from jobs.runs import schemas
from jobs.runs.run import Run


def outputs(run: Run) -> dict[str, Path]:
    """The tables that a run publishes, in this order, and the folder that each comes from."""
    published = {
        "recommendations": run.output("scored" if run.users is None else "merged"),
        "runs": run.output("summary"),
    }
    if run.data_run:
        return published
    clean = ["quarantine"] if is_outdated(run) else ["movies", "users", "ratings", "quarantine"]
    return {table: run.data(table) for table in clean} | published


def is_outdated(run: Run) -> bool:
    """Whether the clean tables hold a later date's rows already."""
    if not is_published(run.warehouse, "ratings"):
        return False
    [newest] = open_table(run.warehouse, "ratings").history(1)
    # A restored table, or one that was published before commits told their date, gives way.
    return newest.get("ds", "") > run.ds.isoformat()


def commit(run: Run) -> dict[str, int]:
    """Show a run's tables to readers; returns their new versions."""
    versions = {}
    tables = outputs(run)
    if not run.data_run and "ratings" not in tables:
        print("publish: movies, users and ratings stay those of a later date", flush=True)
    for table, folder in tables.items():
        versions[table] = commit_table(run, table, folder, model_version=run.model_version)
        print(f"publish: {table} is at version {versions[table]}", flush=True)
    return versions


def commit_quality(run: Run) -> int:
    """Show what the step check found, before anything else of the run; returns the new version."""
    with run.warehouse.publish_lock():
        return commit_table(run, "quality", run.output("quality"))


def commit_table(run: Run, table: str, folder: Path, **told: Any) -> int:
    """Replace the run's part of a table by the files in a folder; returns the new version.

    `told` goes into the commit beside run_id and ds. The caller holds the lock of publish.
    """
    schema, partition_by = schemas.PUBLISHED[table]
    own = {"run_id": run.run_id, "ds": run.ds.isoformat()}
    return publish_files(
        run.warehouse.table(table),
        folder,
        schemas.in_json(schema),
        partition_by,
        replace={column: own[column] for column in partition_by},
        metadata=own | told,
    )
