"""Audit a run's recommendations, then show them, and the clean tables, to readers.

    nightreel publish --run-id <run>

Each table gets one Delta commit that carries run_id and model_version: readers see it before or
after, never between. A failed audit publishes nothing. Running it again replaces what this run
published. The row in `runs` comes last: a run that stands there has published everything.

`movies`, `users` and `ratings` are those of the newest date: a run of an earlier one leaves them.
A run that scores chosen users keeps what is published for the others.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs import schemas
from jobs.arguments import run_of, step_arguments
from jobs.audit import Published, audit
from jobs.command import run_command
from jobs.delta import file_paths, is_published, open_table, publish_files
from jobs.errors import JobError
from jobs.layouts import detect_layout
from jobs.locks import exclusive
from jobs.published import connect
from jobs.run import Run, open_run
from jobs.spark import spark_session


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


def to_audit(spark: SparkSession, run: Run) -> Published:
    """The recommendations of a run, and what they are checked against."""

    def read(folder: Path, schema: str) -> DataFrame:
        return spark.read.schema(schema).parquet(str(folder))

    top_k = run.conf.score.top_k
    users = read(run.data("users"), schemas.USERS)
    return Published(
        recommendations=read(run.output("scored"), schemas.RECOMMENDATIONS).cache(),
        ratings=read(run.data("ratings"), schemas.RATINGS),
        users=users if run.users is None else users.filter(F.col("user_id").isin(run.users)),
        ds=run.ds,
        top_k=None if top_k == "all" else top_k,
        movies_scored=run.record("score")["movies_scored"],
        rating_range=detect_layout(run.raw, run.release).rating_range,
    )


def summary(spark: SparkSession, run: Run, started: float) -> DataFrame:
    """The run's row in `runs`; this step, begun at `started`, counts until now."""
    before = [run.record(step) for step in run.steps() if step != "publish"]
    etl = (open_run(run.warehouse, run.data_run) if run.data_run else run).record("etl")
    evaluation = run.record("evaluate") if run.trains else {}
    row = {
        "run_id": run.run_id,
        "ds": run.ds,
        "release": run.release,
        **{name: etl[name] for name in ("ratings", "users", "movies", "quarantined")},
        "model_version": run.model_version,
        "promoted": evaluation.get("promoted", False),
        "test_rmse": evaluation.get("test_rmse"),
        "test_mae": evaluation.get("test_mae"),
        "rows_published": run.record("score")["rows"],
        "seconds": sum(record["seconds"] for record in before) + time.perf_counter() - started,
        "finished_at": datetime.now(UTC),
        "candidate_version": evaluation.get("candidate_version"),
    }
    return spark.createDataFrame([row], schemas.RUNS)


def keep_others(spark: SparkSession, run: Run, scored: DataFrame) -> None:
    """Write `merged`: the scored users' rows, and what is published for the others of that date.

    Raises JobError if nothing is published for the date.
    """
    files = file_paths(open_table(run.warehouse, "recommendations"))
    root = str(run.warehouse / "tables" / "recommendations")
    published = spark.read.schema(schemas.RECOMMENDATIONS).option("basePath", root).parquet(*files)
    published = published.filter(F.col("ds") == F.lit(run.ds))
    if published.isEmpty():
        raise JobError(f"Nothing is published for {run.ds} yet: score all users, without --users.")
    others = published.filter(~F.col("user_id").isin(run.users or []))
    rows = others.unionByName(scored).repartitionByRange("user_id")
    rows = rows.sortWithinPartitions("user_id", "rank")
    rows.write.mode("overwrite").partitionBy("ds").parquet(str(run.output("merged")))


def publish(spark: SparkSession, run: Run, started: float) -> dict[str, int | str | None]:
    """Audit, then one commit per table; returns the figures of the step."""
    published = to_audit(spark, run)
    checks = audit(published)
    print(f"publish: {len(checks)} checks passed", flush=True)
    # Between reading what others have published and committing, nobody else may publish.
    with exclusive(run.warehouse / "tables" / ".lock", "another run to have published"):
        if run.users is not None:
            keep_others(spark, run, published.recommendations)
        row = summary(spark, run, started).coalesce(1)
        row.write.mode("overwrite").partitionBy("run_id").parquet(str(run.output("summary")))
        versions = commit(run)
    evaluation = run.record("evaluate") if run.trains else {}
    return {
        "rows_published": published.recommendations.count(),
        "table_version": versions["recommendations"],
        "ratings_version": versions.get("ratings"),
        "model_version": run.model_version,
        "test_rmse": evaluation.get("test_rmse"),
    }


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


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    started = time.perf_counter()
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("publish") as figures:
        figures.update(publish(spark_session("publish", run.staging), run, started))


if __name__ == "__main__":
    run_command(main)
