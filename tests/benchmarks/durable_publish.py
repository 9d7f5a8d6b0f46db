"""What forcing a publish to disk costs: placing and committing all tables, with fsync and without.

    PYTHONPATH=. python tests/benchmarks/durable_publish.py [--share 1] [--times 5] [--folder F]

The tables have the shape of ML-32M's (`--share 1`) or of a share of it; the default is about that
of ML-1M. Both kinds of publish take turns on one warehouse, in --folder (default: where temporary
files go), and the script prints the median of each, and their ratio, and of those with fsync the
time from the first commit to the last. The audit is not part of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.published.log import commit_info, newest_version
from jobs.runs.run import Run
from tests.benchmarks.large_release import MOVIES, RATINGS, USERS
from tests.jobs.published.small_publish import made, publish

TOP_K, FILES = 20, 8


def fill(run: Run, share: float) -> int:
    """Give a run outputs of this size, made up; returns their bytes."""
    random = np.random.default_rng(1)
    users, movies, ratings = (round(count * share) for count in (USERS, MOVIES, RATINGS))

    def ids(count: int, most: int) -> np.ndarray:
        return np.sort(random.integers(1, most + 1, count, dtype=np.int32))

    tables = {
        run.output("ratings"): lambda: {
            "user_id": ids(ratings // FILES, users),
            "movie_id": random.integers(1, movies + 1, ratings // FILES, dtype=np.int32),
            "rating": random.integers(1, 11, ratings // FILES).astype(np.float32) / 2,
            "rated_at": pa.array(random.integers(0, 1 << 50, ratings // FILES)).cast(
                pa.timestamp("us", "UTC")
            ),
            "split": pa.array(["train"] * (ratings // FILES)),
        },
        run.output("scored") / f"ds={run.ds}": lambda: {
            "user_id": ids(users * TOP_K // FILES, users),
            "rank": pa.array(np.resize(np.arange(1, 21), users * TOP_K // FILES), pa.int32()),
            "movie_id": random.integers(1, movies + 1, users * TOP_K // FILES, dtype=np.int32),
            "title": pa.array(["A Film (1999)"] * (users * TOP_K // FILES)),
            "predicted_rating": random.random(users * TOP_K // FILES, np.float32),
            "source": pa.array(["model"] * (users * TOP_K // FILES)),
            "model_version": pa.array(["1"] * (users * TOP_K // FILES)),
            "run_id": pa.array([run.run_id] * (users * TOP_K // FILES)),
            "ranking_score": random.random(users * TOP_K // FILES, np.float32),
            "order_version": pa.array(["1"] * (users * TOP_K // FILES)),
            "rating_sd": pa.nulls(users * TOP_K // FILES, pa.float32()),
            "because_movie_id": pa.nulls(users * TOP_K // FILES, pa.int32()),
            "because_share": pa.nulls(users * TOP_K // FILES, pa.float32()),
            "source_user_id": pa.nulls(users * TOP_K // FILES, pa.string()),
            "source_movie_id": pa.nulls(users * TOP_K // FILES, pa.string()),
            "source_because_id": pa.nulls(users * TOP_K // FILES, pa.string()),
            "variant": pa.array(["champion"] * (users * TOP_K // FILES)),
        },
    }
    size = 0
    for folder, columns in tables.items():
        for old in folder.glob("*.parquet"):
            old.unlink()
        for number in range(FILES):
            file = folder / f"part-{number}.parquet"
            pq.write_table(pa.table(columns()), file)
            size += file.stat().st_size
    return size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1_000_209 / RATINGS)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    told = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=told.folder))
    fsync = os.fsync
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    between = []
    try:
        run = made(folder, "r")
        size = fill(run, told.share)
        os.sync()
        for number in range(2 * told.times):
            kind = ("with", "without")[number % 2]
            if kind == "without":
                os.fsync = lambda _: None  # type: ignore[assignment]
            run = replace(run, started_at=run.started_at + timedelta(hours=1))
            started = time.perf_counter()
            publish(run)
            seconds[kind].append(time.perf_counter() - started)
            if kind == "with":
                first, last = (commit_time(run, table) for table in ("movies", "runs"))
                between.append(last - first)
            os.fsync = fsync
            # Nobody pays for what another left to be written.
            os.sync()
    finally:
        os.fsync = fsync
        shutil.rmtree(folder, ignore_errors=True)
    synced, not_synced = median(seconds["with"]), median(seconds["without"])
    print(
        f"{size / 1e6:.0f} MB in {2 * FILES} files, {told.times} publishes each: with fsync "
        f"{synced:.2f} s, without {not_synced:.2f} s, ratio {synced / not_synced:.2f}, "
        f"{synced - not_synced:.2f} s more; {median(between):.2f} s between first and last commit"
    )


def commit_time(run: Run, table: str) -> float:
    """When the newest commit of a table was made, in seconds."""
    folder = run.warehouse.table(table)
    newest = newest_version(folder)
    assert newest is not None
    return ((commit_info(folder, newest) or {})["timestamp"]) / 1000


if __name__ == "__main__":
    main()
