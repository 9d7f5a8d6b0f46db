"""The audit of publish at ML-32M's shape: seconds, memory, and its ratio to reading the files once.

    PYTHONPATH=. python tests/benchmarks/audit.py

Makes 20 recommendations for each of 200,948 users, out of 87,585 movies, and 160 ratings, so that
every check has all rows to look at and none fails.
"""

import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import numpy as np

from jobs.published.audit import ToPublish, audit

USERS, MOVIES, TOP_K, RATED = 200_948, 87_585, 20, 160
DS = date(2026, 1, 2)
# Movies of a user lie 4,001 apart from one that is the user's own; those rated, from the next one.
MADE = {
    "recommendations": f"""
        select (1 + n // {TOP_K})::int as user_id, (1 + n % {TOP_K})::int as rank,
            (1 + (n // {TOP_K} * 7919 + n % {TOP_K} * 4001) % {MOVIES})::int as movie_id,
            'A Film Called So (1999)' as title, 4::float as predicted_rating, 'model' as source,
            '1' as model_version, 'run' as run_id, (5 - n % {TOP_K} / 20)::float as ranking_score,
            null::varchar as order_version, null::float as rating_sd,
            (1 + (n // {TOP_K} * 7919 + 101) % {MOVIES})::int as because_movie_id,
            0.1::float as because_share, date '{DS}' as ds, null::varchar as source_user_id,
            null::varchar as source_movie_id, null::varchar as source_because_id,
            'champion' as variant
        from range({USERS * TOP_K}) numbers(n)
    """,
    "ratings": f"""
        select (1 + n // {RATED})::int as user_id, 3::float as rating,
            (1 + (n // {RATED} * 7919 + 101 + n % {RATED} * 4001) % {MOVIES})::int as movie_id
        from range({USERS * RATED}) numbers(n)
    """,
    "users": f"""
        select n::int as user_id, null::varchar as source_user_id
        from range(1, {USERS + 1}) numbers(n)
    """,
    "movies": f"""
        select n::int as movie_id, null::varchar as source_movie_id
        from range(1, {MOVIES + 1}) numbers(n)
    """,
}


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """What passes, and what the CPUs work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Make the files, read them, audit them."""
    with tempfile.TemporaryDirectory() as folder:
        tables = duckdb.connect()
        tables.execute(f"set temp_directory = '{folder}/scratch'")
        for name, rows in MADE.items():
            file = Path(folder) / f"{name}.parquet"
            tables.execute(f"copy ({rows}) to '{file}' (format parquet)")
            tables.execute(f"create view {name} as from '{file}'")
        lists = "select 1::int as user_id, 1::int as movie_id where false"
        for name in ("candidates", "shown"):
            tables.execute(f"create view {name} as {lists}")
        movie_ids = np.arange(1, MOVIES + 1, dtype=np.int32)
        data = ToPublish(tables, DS, TOP_K, movie_ids, rating_range=(1.0, 5.0), model_version="1")

        def read() -> None:
            for name in MADE:
                tables.execute(f"select sum(hash({name})) from {name}").fetchall()

        (_, reading), (wall, auditing) = seconds(read), seconds(lambda: audit(data))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(f"audit: {wall:.1f} s, {auditing:.1f} of processor, {peak:,} MiB at most")
        print(f"{auditing / reading:.1f} x reading all columns once, {reading:.1f} s of processor")


if __name__ == "__main__":
    main()
