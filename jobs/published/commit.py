"""The tables that a run shows to readers, and the commit of each."""

from __future__ import annotations

from pathlib import Path

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
        schema, partition_by = schemas.PUBLISHED[table]
        own = {"ds": run.ds.isoformat(), "run_id": run.run_id}
        versions[table] = publish_files(
            run.warehouse / "tables" / table,
            folder,
            schemas.in_json(schema),
            partition_by,
            replace={column: own[column] for column in partition_by},
            metadata={
                "run_id": run.run_id,
                "model_version": run.model_version,
                "ds": run.ds.isoformat(),
            },
        )
        print(f"publish: {table} is at version {versions[table]}", flush=True)
    return versions
