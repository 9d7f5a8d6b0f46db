"""Clean a delivery and prepare what training and scoring read.

    nightreel etl --run-id <run>

Reads the raw files of the run's release. Writes into the run's folder:

    ratings, movies, users   clean rows; every rating carries its split
    quarantine               lines that could not be used, with file, line and reason
    user_index, movie_index  id -> row number in Factors
    splits/split=...         ratings by row number, in shuffled, even row groups, per split
    rated                    every user's rated movies, whatever the split
    histories                every user's ratings in time order, with the split of order models

Where ratings lie in folders of days, only what has come since an earlier run is read, and what that
run has made of all other users is taken over: jobs/cleaning/base.py.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from jobs.cleaning.base import CannotGrow, usable
from jobs.cleaning.growing import grow
from jobs.cleaning.whole import clean_all
from jobs.engines.spark import spark_session
from jobs.published.runs_table import latest_run
from jobs.published.versions import versions_at
from jobs.published.views import connect
from jobs.release.detection import detect_layout
from jobs.release.layouts import Layout
from jobs.release.raw import require_whole
from jobs.runs.command import run_command, step_arguments
from jobs.runs.run import Run, run_of


def lowest_published(run: Run, layout: Layout) -> dict[str, int]:
    """The lowest numbers of users and movies that published tables have of the run's release.

    0 where they have none below, or the delivery brings none.
    """
    lowest = {"user": 0, "movie": 0}
    asked = [entity for entity in lowest if layout.ids_of(entity) != "int"]
    if asked and {"runs", "users", "movies"} <= versions_at(run.warehouse, None).keys():
        with connect(run.warehouse, ("runs", "users", "movies")) as tables:
            for entity in asked if latest_run(tables).release == run.release else ():
                query = f"select least(min({entity}_id), 0) from {entity}s"
                [(lowest[entity],)] = tables.execute(query).fetchall()
    return lowest


def etl(spark: SparkSession, run: Run) -> dict[str, Any]:
    """Do all of it; returns the figures of the step."""
    layout = detect_layout(run.raw, run.conf.ingest)
    print(f"etl: {layout}", flush=True)
    given = lowest_published(run, layout)
    if run.etl_base:
        try:
            base = usable(run, layout, run.etl_base)
            print(f"etl: reads what has come since run {run.etl_base}", flush=True)
            with base.unchanged():
                figures = grow(spark, run, layout, given, base)
            return figures | {"grown_from": run.etl_base}
        except CannotGrow as reason:
            print(f"etl: all is read after all: {reason}", flush=True)
    return clean_all(spark, run, layout, given) | {"grown_from": None}


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("etl") as figures:
        require_whole(run.raw)
        figures.update(etl(spark_session("etl", run.staging, run.raw, run.etl_new_kib), run))


if __name__ == "__main__":
    run_command(main)
