"""One user's recommendations from the command line, at MovieLens 32M's shape.

    PYTHONPATH=. python tests/benchmarks/lookup.py

Makes 200,948 users x 20 rows in the layout that score writes, publishes them for several dates
through the job's own functions, and times `nightreel recommend --user U`: a new process each time.
In the same run, the same question to an unsorted copy of one date, by a process that has DuckDB
scan it. Ends with 1 if the command takes a second or more, or reads more than two row groups.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.engines.spark import spark_session
from jobs.publish import write_by_user
from jobs.published.delta import file_paths, open_table, publish_files
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.runs.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[2]
USERS, MOVIES, TOP_K = 200_948, 87_585, 20
DATES = [f"2026-11-{day}" for day in range(17, 24)]
ASKED = [1, 2_000, 51_234, 99_999, 123_456, 177_777, USERS]

SCAN = """
import duckdb, sys
query = f"select * from read_parquet('{sys.argv[1]}/*.parquet') where user_id = {sys.argv[2]}"
rows = duckdb.sql(query + " order by rank").fetchall()
assert len(rows) == 20
"""


def recommendations(spark: SparkSession, ds: str, users: int) -> DataFrame:
    """Made-up rows in the order of users."""
    n, movie = F.col("id"), F.abs(F.hash("id")) % MOVIES + 1
    return spark.range(0, users * TOP_K, 1, 2 * spark.sparkContext.defaultParallelism).select(
        F.lit(ds).cast("date").alias("ds"),
        (n / TOP_K + 1).cast("int").alias("user_id"),
        (n % TOP_K + 1).cast("int").alias("rank"),
        movie.cast("int").alias("movie_id"),
        F.concat(F.lit("A Film Called "), movie.cast("string"), F.lit(" (1999)")).alias("title"),
        (5 - n % TOP_K / 25 - F.rand(7) / 25).cast("float").alias("predicted_rating"),
        F.lit("model").alias("source"),
        F.lit("7").alias("model_version"),
        F.lit(f"scheduled__{ds}").alias("run_id"),
        (5 - n % TOP_K / 25).cast("float").alias("ranking_score"),
        F.lit("1").alias("order_version"),
        F.lit(None).cast("float").alias("rating_sd"),
    )


def publish(warehouse: Path, table: str, source: Path, ds: str) -> None:
    ddl, partition_by = PUBLISHED[table]
    own = {"ds": ds, "run_id": f"scheduled__{ds}"}
    replace = {column: own[column] for column in partition_by}
    folder = warehouse / "tables" / table
    publish_files(folder, source, in_json(ddl), partition_by, replace, {"run_id": own["run_id"]})


def publish_small(warehouse: Path, table: str, columns: dict[str, pa.Array], ds: str) -> None:
    """Publish a table that Spark has no part in."""
    source = warehouse / "made" / table
    folder = source / f"run_id=scheduled__{ds}" if PUBLISHED[table][1] else source
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "part.parquet")
    publish(warehouse, table, source, ds)


def make(warehouse: Path, dates: list[str], users: int) -> Path:
    """Publish all tables that the command reads; returns the unsorted copy of the newest date."""
    spark = spark_session("lookup", warehouse / "staging")
    for ds in dates:
        write_by_user(recommendations(spark, ds, users), warehouse / "made" / ds)
        publish(warehouse, "recommendations", warehouse / "made" / ds, ds)
    unsorted = warehouse / "unsorted"
    recommendations(spark, dates[-1], users).repartition(4, F.rand(1)).write.parquet(str(unsorted))
    spark.stop()
    ds, ids = dates[-1], pa.array(range(1, MOVIES + 1), pa.int32())
    titles = pa.array([f"A Film Called {movie} (1999)" for movie in range(1, MOVIES + 1)])
    years = pa.array([1999] * MOVIES, pa.int32())
    genres = pa.array([["Comedy", "Drama"]] * MOVIES)
    movies = {"movie_id": ids, "title": titles, "year": years, "genres": genres}
    publish_small(warehouse, "movies", movies, ds)
    described = {"user_id": pa.array(range(1, USERS + 1), pa.int32())}
    for name in ("gender", "age", "occupation", "zip_code"):
        described[name] = pa.nulls(USERS, pa.int32() if name == "age" else pa.string())
    publish_small(warehouse, "users", described, ds)
    run = {
        "ds": pa.array([date.fromisoformat(ds)]),
        "release": pa.array(["ml-32m"]),
        "ratings": pa.array([32_000_204]),
        "users": pa.array([USERS], pa.int32()),
        "movies": pa.array([MOVIES], pa.int32()),
        "quarantined": pa.array([0]),
        "model_version": pa.array(["7"]),
        "promoted": pa.array([True]),
        "test_rmse": pa.array([0.8]),
        "test_mae": pa.array([0.6]),
        "rows_published": pa.array([USERS * TOP_K]),
        "seconds": pa.array([600.0]),
        "finished_at": pa.array([datetime.now(UTC)], pa.timestamp("us", "UTC")),
        "candidate_version": pa.array(["7"]),
        "users_scored": pa.nulls(1, pa.int32()),
        "validation_rmse": pa.nulls(1, pa.float64()),
        "damping": pa.array([0.0]),
    }
    publish_small(warehouse, "runs", run, ds)
    return unsorted


def row_groups(files: list[str], user_id: int | None = None) -> int:
    """The row groups of files, or those of them that may hold rows of a user."""
    count = 0
    for file in files:
        footer = pq.read_metadata(file)
        column = footer.schema.names.index("user_id")
        for group in range(footer.num_row_groups):
            bounds = footer.row_group(group).column(column).statistics
            count += user_id is None or bounds.min <= user_id <= bounds.max
    return count


def seconds(command: list[str], **variables: str) -> tuple[float, float]:
    """Wall and processor time of a process, which must succeed."""
    used, started = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, env=os.environ | variables, cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - started, getrusage(RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def told(times: list[tuple[float, float]]) -> str:
    wall, cpu = zip(*times, strict=True)
    return f"median {median(wall):.3f} s, worst {max(wall):.3f}; processor {median(cpu):.3f}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder)
        unsorted = make(warehouse, DATES, USERS)
        table = open_table(Warehouse(warehouse), "recommendations")
        every = file_paths(table)
        touched = {
            user: file_paths(table, f"ds = '{DATES[-1]}' and user_id = {user}") for user in ASKED
        }
        groups = {user: row_groups(files, user) for user, files in touched.items()}
        ask = [sys.executable, "-m", "jobs.nightreel", "recommend", "--user"]
        ask_duckdb = [sys.executable, "-c", SCAN, str(unsorted)]
        times, scans, starts = [], [], []
        for user in (ASKED[0], *ASKED):  # the first warms the page cache, and does not count
            times.append(seconds([*ask, str(user)], NIGHTREEL_WAREHOUSE=folder))
            scans.append(seconds([*ask_duckdb, str(user)]))
            starts.append(seconds([sys.executable, "-c", "import duckdb"]))
        print(f"{USERS * TOP_K * len(DATES):,} rows of {len(DATES)} dates, {len(every)} files")
        print(f"nightreel recommend --user U: {told(times[1:])}")
        most = max(len(files) for files in touched.values())
        print(f"  files read: at most {most} of {len(every)}")
        print(f"  row groups read: at most {max(groups.values())} of {row_groups(every)}")
        print(f"DuckDB over an unsorted copy of one date, rows alone: {told(scans[1:])}")
        print(f"Python that only imports DuckDB: {told(starts[1:])}")
        sys.exit(max(wall for wall, _ in times[1:]) >= 1 or max(groups.values()) > 2)


if __name__ == "__main__":
    main()
