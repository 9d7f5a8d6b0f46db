"""The tables that a run shows to readers, and the commit of each."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql.types import StructType

from jobs import schemas
from jobs.delta import is_published, publish_files
from jobs.published import connect
from jobs.run import Run


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
    """Whether a run of a later date has been published already."""
    if not is_published(run.warehouse, "runs"):
        return False
    with connect(run.warehouse, ("runs",)) as connection:
        [(later,)] = connection.execute("select max(ds) > ? from runs", [run.ds]).fetchall()
    return bool(later)


def commit(run: Run) -> dict[str, int]:
    """Show a run's tables to readers; returns their new versions."""
    versions = {}
    for table, folder in outputs(run).items():
        schema, partition_by = schemas.PUBLISHED[table]
        own = {"ds": run.ds.isoformat(), "run_id": run.run_id}
        versions[table] = publish_files(
            run.warehouse / "tables" / table,
            folder,
            StructType.fromDDL(schema).json(),
            partition_by,
            replace={column: own[column] for column in partition_by},
            metadata={"run_id": run.run_id, "model_version": run.model_version},
        )
        print(f"publish: {table} is at version {versions[table]}", flush=True)
    return versions
