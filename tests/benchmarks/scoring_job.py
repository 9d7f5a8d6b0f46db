"""The step `score` as a whole, beside its own kernel and beside Spark's ALS.

    PYTHONPATH=. python tests/benchmarks/scoring_job.py job      [--users N --movies M ...]
    PYTHONPATH=. python tests/benchmarks/scoring_job.py als      [--users 25000 --movies 50000]
    PYTHONPATH=. python tests/benchmarks/scoring_job.py growth

Random factors, and rated movies written as etl writes them. Times run from a started session to
written output. `job` makes the step twice: the second time, Spark's Python processes have started.
The kernel scores users with 2 threads in the same run. Memory is
that of all processes but for mapped files. `als` gives the same factors to recommendForAllUsers,
which leaves out nothing, at several block sizes.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.recommendation import ALSModel
from pyspark.sql import SparkSession

from jobs.engines.spark import spark_session
from jobs.runs.configuration import load_configuration
from jobs.runs.files import write_json
from jobs.runs.run import Run
from jobs.runs.warehouse import Warehouse
from jobs.scoring.models import Models, Version
from jobs.scoring.score_users import plans_of, score_planned
from model.factors import Factors, load_factors
from model.ranking.lists import Lists
from model.ranking.ranker import Ranker
from tests.benchmarks.scoring_data import random_factors, random_rated

FILES = 8


def prepared_run(warehouse: Path, factors: Factors, rated: Lists, top_k: int) -> Run:
    """A run whose clean data are these."""
    settings = [f"score.top_k={top_k}", "score.damping=0"]
    conf = load_configuration(settings, warehouse=str(warehouse))
    users, movies = len(rated), len(factors.movie_ids_M)
    run = Run(
        Warehouse(warehouse),
        f"{users}x{movies}x{top_k}",
        date(2026, 1, 2),
        "ml-32m",
        "-",
        None,
        conf,
    )
    shutil.rmtree(run.folder, ignore_errors=True)
    # Filters look at the ratings, too; none is set, so that there need be none.
    for name in ("rated", "movies", "users", "ratings"):
        run.output(name).mkdir(parents=True)
    (run.folder / "steps").mkdir()
    write_json(run.folder / "steps" / "ingest.json", {"why_base": "score.mode is full"})
    titles = [f"Movie {i} (2000)" for i in factors.movie_ids_M]
    pq.write_table(
        pa.table({"movie_id": factors.movie_ids_M, "title": titles}),
        run.output("movies") / "part-0.parquet",
    )
    pq.write_table(
        pa.table({"user_id": factors.user_ids_U}), run.output("users") / "part-0.parquet"
    )
    for i, users_ in enumerate(np.array_split(np.arange(users), FILES)):
        start, stop = users_[0], users_[-1] + 1
        part = rated.slice(start, stop)
        movie_ids = factors.movie_ids_M[part.value_N]
        lists = pa.ListArray.from_arrays(pa.array(part.offset_B1, pa.int32()), movie_ids)
        table = pa.table({"user_id": factors.user_ids_U[start:stop], "movie_ids": lists})
        pq.write_table(table, run.output("rated") / f"part-{i:05d}.parquet")
    return run


def tree() -> set[int]:
    """This process and all its descendants."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def memory_of_tree() -> int:
    """Bytes of this process and all its descendants, mapped files left out."""
    total = 0
    for pid in tree():
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            sizes = dict(line.split(":", 1) for line in lines)
            total += sum(int(sizes.get(k, "0 kB").split()[0]) for k in ("RssAnon", "RssShmem"))
    return total * 1024


@contextmanager
def measured_memory() -> Iterator[list[int]]:
    """Yield a list whose only element grows to the peak."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], memory_of_tree())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def cpu_of_tree() -> float:
    """Processor seconds of this process and all its descendants so far."""
    ticks = 0
    for pid in tree():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # Its own, and those of its children that have ended.
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def timed_score(spark: SparkSession, run: Run, folder: Path) -> tuple[float, float]:
    """Seconds by the clock, and of processors."""
    started, used = time.perf_counter(), cpu_of_tree()
    models = Models(Version("1", load_factors(folder), folder), None)
    figures = score_planned(spark, run, plans_of(run, models))
    taken = time.perf_counter() - started, cpu_of_tree() - used
    shutil.rmtree(run.folder)
    seconds = f"{taken[0]:.1f} s, {taken[1]:.1f} CPU s"
    print(f"  {run.run_id}: {seconds}, {figures['rows']:,} rows", flush=True)
    return taken


def kernel_rate(factors: Factors, rated: Lists, top_k: int) -> tuple[float, float]:
    """Pairs per second, and per CPU second, of the kernel alone, 2 threads, the best of three."""
    ranker, users = Ranker(factors, threads=2), min(len(rated), 8192)
    pairs, rate, per_cpu = users * len(ranker.movie_idx_C), 0.0, 0.0
    for _ in range(3):
        started, used = time.perf_counter(), time.process_time()
        ranker.top_k(np.arange(users), rated.slice(0, users), top_k)
        rate = max(rate, pairs / (time.perf_counter() - started))
        per_cpu = max(per_cpu, pairs / (time.process_time() - used))
    return rate, per_cpu


def job(shape: argparse.Namespace, scratch: Path) -> None:
    """The whole step at a shape: share of the kernel's speed, memory."""
    factors = random_factors(shape.users, shape.movies, shape.factors)
    rated = random_rated(shape.users, shape.movies, shape.rated)
    factors.save(scratch / "factors")
    rate = kernel_rate(factors, rated, shape.top_k)
    # The process that measures holds the same data once more: what it has now is no part of it.
    before = memory_of_tree()
    spark = spark_session("benchmark", scratch / "spark")
    with measured_memory() as peak:
        first, second = (
            timed_score(spark, prepared_run(scratch, factors, rated, shape.top_k), folder)
            for folder in [scratch / "factors"] * 2
        )
    spark.stop()
    pairs = shape.users * shape.movies
    for i, unit in enumerate(("second", "CPU second")):
        rates = {
            "kernel": rate[i],
            "job": pairs / first[i],
            "job, once started": pairs / second[i],
        }
        for name, each in rates.items():
            share = each / rate[i]
            print(f"{name:18} {each / 1e6:6.0f} million pairs a {unit}, {share:.0%} of the kernel")
    print(f"peak memory           {(peak[0] - before) / 2**30:7.2f} GiB beside mapped files")


def als_model(spark: SparkSession, factors: Factors, scratch: Path) -> ALSModel:
    """Spark's model with these factors, which its own fit would have made."""
    frames = []
    for name, ids, rows in (
        ("users", factors.user_ids_U, factors.user_UK),
        ("items", factors.movie_ids_M, factors.movie_MK),
    ):
        offsets = pa.array(np.arange(len(rows) + 1) * rows.shape[1], pa.int32())
        lists = pa.ListArray.from_arrays(offsets, rows.ravel())
        pq.write_table(pa.table({"id": ids, "features": lists}), scratch / f"{name}.parquet")
        frames.append(spark.read.parquet(str(scratch / f"{name}.parquet")).repartition(8).cache())
        frames[-1].count()
    java = spark._jvm.org.apache.spark.ml.recommendation.ALSModel  # type: ignore[union-attr]
    width = factors.user_UK.shape[1]
    model = ALSModel(java("als", width, frames[0]._jdf, frames[1]._jdf))
    # A setter of Python's class would reach Java's only with `transform`.
    model._java_obj.setUserCol("user").setItemCol("item")  # type: ignore[union-attr]
    return model


def als(shape: argparse.Namespace, scratch: Path) -> None:
    """Nightreel and recommendForAllUsers on the same factors, each to written output."""
    factors = random_factors(shape.users, shape.movies, shape.factors)
    rated = random_rated(shape.users, shape.movies, shape.rated)
    factors.save(scratch / "factors")
    run = prepared_run(scratch, factors, rated, shape.top_k)
    spark = spark_session("benchmark", scratch / "spark")
    pairs = shape.users * shape.movies
    taken, used = timed_score(spark, run, scratch / "factors")
    ours, ours_of_cpu = pairs / taken, pairs / used
    model, best, best_of_cpu = als_model(spark, factors, scratch), 0.0, 0.0
    for block in shape.block_sizes:
        model._java_obj.setBlockSize(block)  # type: ignore[union-attr]
        started, used = time.perf_counter(), cpu_of_tree()
        target = str(scratch / "als")
        model.recommendForAllUsers(shape.top_k).write.mode("overwrite").parquet(target)
        rate, of_cpu = pairs / (time.perf_counter() - started), pairs / (cpu_of_tree() - used)
        both = f"{rate / 1e6:.0f} million pairs a second, {of_cpu / 1e6:.0f} a CPU second"
        print(f"ALS, block size {block}: {both}", flush=True)
        best, best_of_cpu = max(best, rate), max(best_of_cpu, of_cpu)
    spark.stop()
    print(f"nightreel: {ours / 1e6:.0f} and {ours_of_cpu / 1e6:.0f}; to ALS at its best", end=" ")
    print(f"{ours / best:.1f} and {ours_of_cpu / best_of_cpu:.1f} times")


def growth(shape: argparse.Namespace, scratch: Path) -> None:
    """Seconds of the step as each of its sizes doubles."""
    base = {"users": 20_000, "movies": 40_000, "factors": 64, "top_k": 20}
    spark = spark_session("benchmark", scratch / "spark")
    for name in (None, None, *base):
        size = base | ({name: 2 * base[name]} if name else {})
        factors = random_factors(size["users"], size["movies"], size["factors"])
        rated = random_rated(size["users"], size["movies"], shape.rated)
        folder = scratch / f"factors-{name}"
        factors.save(folder)
        print(f"{name or 'base'}: {size}")
        timed_score(spark, prepared_run(scratch, factors, rated, size["top_k"]), folder)
        shutil.rmtree(folder)
    spark.stop()


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["job", "als", "growth"])
    parser.add_argument("--users", type=int, default=200_948)
    parser.add_argument("--movies", type=int, default=87_585)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rated", type=int, default=160)
    parser.add_argument("--top-k", type=int, default=20)
    parser.add_argument("--block-sizes", type=int, nargs="+", default=[1024, 4096, 8192])
    shape = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        {"job": job, "als": als, "growth": growth}[shape.what](shape, Path(scratch))


if __name__ == "__main__":
    main()
