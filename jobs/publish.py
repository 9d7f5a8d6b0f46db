"""Audit a run's recommendations, then show them, and the clean tables, to readers.

    nightreel publish --run-id <run>

Each table gets one Delta commit that carries run_id and model_version: readers see it before or
after, never between. A failed audit publishes nothing. Running it again replaces what this run
published. The row in `runs` comes last: a run that stands there has published everything.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from jobs import schemas
from jobs.arguments import run_of, step_arguments
from jobs.audit import Published, audit
from jobs.command import run_command
from jobs.delta import publish_files
from jobs.layouts import detect_layout
from jobs.run import STEPS, Run
from jobs.spark import spark_session

# Where in the run's folder each published table lies; the order of publishing.
OUTPUTS = {
    "movies": "movies",
    "users": "users",
    "ratings": "ratings",
    "quarantine": "quarantine",
    "recommendations": "scored",
    "runs": "summary",
}


def to_audit(spark: SparkSession, run: Run) -> Published:
    """The recommendations of a run, and what they are checked against."""

    def read(table: str) -> DataFrame:
        schema, _ = schemas.PUBLISHED[table]
        return spark.read.schema(schema).parquet(str(run.output(OUTPUTS[table])))

    top_k = run.conf.score.top_k
    return Published(
        recommendations=read("recommendations").cache(),
        ratings=read("ratings"),
        users=read("users"),
        ds=run.ds,
        top_k=None if top_k == "all" else top_k,
        movies_scored=run.record("score")["movies_scored"],
        rating_range=detect_layout(run.raw, run.release).rating_range,
    )


def summary(spark: SparkSession, run: Run, started: float) -> DataFrame:
    """The run's row in `runs`; this step, begun at `started`, counts until now."""
    records = {step: run.record(step) for step in STEPS if step != "publish"}
    etl, evaluation = records["etl"], records["evaluate"]
    seconds = sum(record["seconds"] for record in records.values())
    row = {
        "run_id": run.run_id,
        "ds": run.ds,
        "release": run.release,
        **{name: etl[name] for name in ("ratings", "users", "movies", "quarantined")},
        "model_version": evaluation["model_version"],
        "promoted": evaluation["promoted"],
        "test_rmse": evaluation["test_rmse"],
        "test_mae": evaluation["test_mae"],
        "rows_published": records["score"]["rows"],
        "seconds": seconds + time.perf_counter() - started,
        "finished_at": datetime.now(UTC),
        "candidate_version": evaluation["candidate_version"],
    }
    return spark.createDataFrame([row], schemas.RUNS)


def publish(spark: SparkSession, run: Run, started: float) -> dict[str, int | str]:
    """Audit, then one commit per table; returns the figures of the step."""
    published = to_audit(spark, run)
    checks = audit(published)
    print(f"publish: {len(checks)} checks passed", flush=True)
    target = str(run.output(OUTPUTS["runs"]))
    summary(spark, run, started).coalesce(1).write.mode("overwrite").partitionBy("run_id").parquet(
        target
    )
    version = run.record("score")["model_version"]
    versions = {}
    for table, output in OUTPUTS.items():
        schema, partition_by = schemas.PUBLISHED[table]
        own = {"ds": run.ds.isoformat(), "run_id": run.run_id}
        versions[table] = publish_files(
            run.warehouse / "tables" / table,
            run.output(output),
            StructType.fromDDL(schema).json(),
            partition_by,
            replace={column: own[column] for column in partition_by},
            metadata={"run_id": run.run_id, "model_version": version},
        )
        print(f"publish: {table} is at version {versions[table]}", flush=True)
    return {
        "rows_published": published.recommendations.count(),
        "model_version": version,
        "table_version": versions["recommendations"],
    }


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    started = time.perf_counter()
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("publish") as figures:
        figures.update(publish(spark_session("publish"), run, started))


if __name__ == "__main__":
    run_command(main)
