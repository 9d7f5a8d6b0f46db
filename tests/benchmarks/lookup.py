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
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.engines.duck import copy, write_few_rows
from jobs.published.delta import file_paths, open_table, publish_files
from jobs.published.others import write_by_user
from jobs.runs.schemas import PUBLISHED, columns_of, in_json
from jobs.runs.warehouse import Warehouse
from model.files import make_folder

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


def recommendations(users: int) -> str:
    """Made-up rows, in SQL."""
    return f"""
        select (1 + n // {TOP_K})::integer as user_id, (1 + n % {TOP_K})::integer as rank,
            (1 + hash(n) % {MOVIES})::integer as movie_id,
            'A Film Called ' || (1 + hash(n) % {MOVIES}) || ' (1999)' as title,
            (5 - n % {TOP_K} / 25 - hash(n) % 1000 / 25000)::float as predicted_rating,
            'model' as source, '7' as model_version, 'a' as run_id,
            (5 - n % {TOP_K} / 25)::float as ranking_score, '1' as order_version,
            null::float as rating_sd, (1 + hash(n + 1) % {MOVIES})::integer as because_movie_id,
            0.1::float as because_share, null::varchar as source_user_id,
            null::varchar as source_movie_id, null::varchar as source_because_id,
            'champion' as variant
        from range({users * TOP_K}) numbers(n)
    """


def publish(warehouse: Path, table: str, source: Path, ds: str) -> None:
    ddl, partition_by = PUBLISHED[table]
    own = {"ds": ds, "run_id": f"scheduled__{ds}"}
    replace = {column: own[column] for column in partition_by}
    folder = warehouse / "tables" / table
    publish_files(folder, source, in_json(ddl), partition_by, replace, {"run_id": own["run_id"]})


def publish_small(warehouse: Path, table: str, columns: dict[str, pa.Array], ds: str) -> None:
    """Publish a table of few rows."""
    source = warehouse / "made" / table
    folder = source / f"run_id=scheduled__{ds}" if PUBLISHED[table][1] else source
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "part.parquet")
    publish(warehouse, table, source, ds)


def make(warehouse: Path, dates: list[str], users: int) -> Path:
    """Publish all tables that the command reads; returns the unsorted copy of the newest date."""
    tables, unsorted = duckdb.connect(), warehouse / "unsorted"
    for ds in dates:
        write_by_user(tables, recommendations(users), warehouse / "made" / ds / f"ds={ds}")
        publish(warehouse, "recommendations", warehouse / "made" / ds, ds)
    make_folder(unsorted)
    copy(tables, f"from ({recommendations(users)}) order by hash(movie_id)", unsorted / "0.parquet")
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
    told: dict[str, object] = {
        "run_id": f"scheduled__{ds}",
        "ds": ds,
        "release": "ml-32m",
        "model_version": "7",
    }
    told |= {"finished_at": datetime.now(UTC), "rows_published": USERS * TOP_K}
    row = [told.get(column) for column in columns_of(PUBLISHED["runs"][0])]
    write_few_rows(warehouse / "made" / "runs", "runs", [row])
    publish(warehouse, "runs", warehouse / "made" / "runs", ds)
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
