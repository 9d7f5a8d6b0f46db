"""Thirty nights of a delivery that grows: ETL of what is new, beside all of it again.

    PYTHONPATH=. python tests/benchmarks/growing.py [--share 0.125] [--nights 30] [--whole 10]

The made-up release of tests/benchmarks/large_release.py, dealt to 600 days as people come to
MovieLens: users arrive on any day, give 57% of their ratings on it, and the rest on 7.5 later ones
(both measured on ml-latest-small). All days but the last nights' come in one part, then a part each
night. Every tenth night (--whole), and on the last, another warehouse cleans all again; both steps
are the commands that people use. Printed are seconds and peak memory of each etl, then ratios, and
whether all clean tables, splits and histories are the same in the end.
"""

import argparse
import os
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from jobs.runs.run import open_run
from jobs.runs.warehouse import Warehouse
from tests.benchmarks.etl_scale import watched
from tests.benchmarks.large_release import write_release

DAYS, FIRST = 600, date(2024, 1, 1)
ON_FIRST_DAY, LATER_DAYS = 0.57, 7.5
OUTPUTS = (
    *("ratings", "movies", "users", "user_index", "movie_index", "rated", "histories", "splits"),
)


def deal_days(source: Path, seed: int = 3) -> None:
    """Give the ratings of a release other times, by days, in ratings.parquet beside it."""
    random = np.random.default_rng(seed)
    with duckdb.connect() as db:
        rows = db.sql(f"select * from read_csv('{source}/ratings.csv')").to_arrow_table()
        user_N = rows["userId"].to_numpy() - 1
        first_U = random.integers(0, DAYS, user_N[-1] + 1)
        later_U = 1 + random.poisson(LATER_DAYS - 1, len(first_U))
        # Which of a user's days, 0 for the first; each day is drawn once for a user.
        nth_N = np.where(
            random.random(len(user_N)) < ON_FIRST_DAY,
            0,
            1 + random.integers(0, later_U[user_N]),
        )
        drawn_UD = random.random((len(first_U), later_U.max() + 1))
        drawn_UD[:, 0] = 0
        day_N = first_U[user_N] + np.floor(
            drawn_UD[user_N, nth_N] * (DAYS - first_U[user_N])
        ).astype(int)
        start = int((FIRST - date(1970, 1, 1)).days) * 86_400
        second_N = random.integers(0, 7200, len(user_N))
        at_N = start + day_N * 86_400 + 3600 * (8 + user_N % 12) + second_N
        rows = rows.drop_columns(["timestamp"]).append_column("timestamp", pa.array(at_N))
        rows = rows.append_column("day", pa.array(day_N))
        db.register("rows", rows)
        db.execute(f"copy (select * from rows) to '{source}/ratings.parquet'")


def write_part(source: Path, delivery: Path, days: range) -> int:
    """A part with the ratings of some days, named by the last; returns how many."""
    part = delivery / f"ds={ds_of(days[-1])}" / "ratings.csv"
    part.parent.mkdir(parents=True)
    with duckdb.connect() as db:
        query = (
            f"select userId, movieId, rating, timestamp from '{source}/ratings.parquet' "
            f"where day between {days[0]} and {days[-1]} order by timestamp, userId, movieId"
        )
        return db.execute(f"copy ({query}) to '{part}' (format csv, header)").fetchall()[0][0]


def ds_of(day: int) -> date:
    return FIRST + timedelta(days=day)


def cleaned(warehouse: Path, delivery: Path, day: int, mode: str) -> tuple[float, float]:
    """Seconds and peak GiB of a night's etl, by the commands."""
    variables = os.environ | {"NIGHTREEL_WAREHOUSE": str(warehouse)}
    step = [sys.executable, "-m", "jobs.nightreel"]
    run_id = f"{ds_of(day)}"
    options = ["--run-id", run_id, "--ds", run_id, "--dataset", "mine", "--source", str(delivery)]
    watched([*step, "ingest", *options, f"--set=etl.mode={mode}"], variables)
    return watched([*step, "etl", "--run-id", run_id], variables)


def same_tables(folders: list[Path]) -> list[str]:
    """The outputs of two runs that differ in any row."""
    differing = []
    with duckdb.connect() as db:
        for output in OUTPUTS:
            one, other = (
                f"(select * from read_parquet('{folder / output}/**/*.parquet', "
                "hive_partitioning = true))"
                for folder in folders
            )
            query = f"select count(*) from ({one} except all {other})"
            back = f"select count(*) from ({other} except all {one})"
            if any(db.execute(each).fetchall() != [(0,)] for each in (query, back)):
                differing.append(output)
    return differing


def main() -> None:
    """Measure every night, in one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.125)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--whole", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightreel-growing-") as scratch:
        folder = Path(scratch)
        write_release(folder / "release", arguments.share)
        deal_days(folder / "release")
        delivery = folder / "delivery"
        delivery.mkdir()
        (folder / "release/movies.csv").rename(delivery / "movies.csv")
        begin = DAYS - arguments.nights - 1
        grown, again = [], []
        for day in range(begin, DAYS):
            days = range(begin + 1) if day == begin else range(day, day + 1)
            new = write_part(folder / "release", delivery, days)
            seconds, peak = cleaned(folder / "growing", delivery, day, "incremental")
            told = f"{ds_of(day)}: {new:9,} new ratings, {seconds:5.1f} s, peak {peak:4.1f} GiB"
            if day > begin:
                grown.append(seconds)
            if (day - begin) % arguments.whole == 0 or day == DAYS - 1:
                seconds, peak = cleaned(folder / "whole", delivery, day, "full")
                told += f"; all of them again {seconds:5.1f} s, peak {peak:4.1f} GiB"
                again.append(seconds)
            print(told, flush=True)
        runs = [
            open_run(Warehouse(folder / each), f"{ds_of(DAYS - 1)}")
            for each in ("growing", "whole")
        ]
        if runs[0].record("etl")["grown_from"] is None:
            sys.exit("The last night has read all again.")
        if differing := same_tables([run.folder for run in runs]):
            sys.exit(f"These differ: {', '.join(differing)}")
        mean, of_all = float(np.mean(grown)), float(np.mean(again))
        print(f"all tables are the same; a night {mean:.1f} s, all again {of_all:.1f} s,", end=" ")
        print(f"{mean / of_all:.2f} of it; the last night {grown[-1] / grown[0]:.2f} of the first")


if __name__ == "__main__":
    main()
