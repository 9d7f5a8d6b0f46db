"""Clean data that grows out of an earlier run's is the same as if all were cleaned again."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.engines.duck import parquet_files
from jobs.etl import etl
from jobs.ingest import main as ingest
from jobs.runs.files import write_json
from jobs.runs.run import Run, open_run
from jobs.runs.warehouse import Warehouse

DAYS = [f"2026-01-0{day}" for day in (1, 2, 3)]
# Rows, and what puts them in order; of a user's rows in splits, none is meant.
OUTPUTS = {
    "ratings": ["user_id", "movie_id"],
    "movies": ["movie_id"],
    "users": ["user_id"],
    "quarantine": ["file", "line"],
    "user_index": ["user_idx"],
    "movie_index": ["movie_idx"],
    "rated": ["user_id"],
    "histories": ["user_idx"],
    "splits/split=train": ["user_idx", "movie_idx"],
    "splits/split=validation": ["user_idx", "movie_idx"],
    "splits/split=test": ["user_idx", "movie_idx"],
}


def rows_of(run: Run, output: str) -> list[dict[str, Any]]:
    files = parquet_files(run.data(output))
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    return sorted(rows, key=lambda row: [row[name] for name in OUTPUTS[output]])


def night(spark, warehouse: Path, source: Path, ds: str, *said: str, run_id: str = "") -> Run:
    """Ingest and clean what has come until a day; the run, whose record says what was found."""
    fixed = ["--warehouse", str(warehouse), "--run-id", run_id or ds, "--ds", ds]
    told = [f"--set={each}" for each in ("etl.min_row_groups=3", *said)]
    ingest([*fixed, "--dataset", "mine", "--source", str(source), *told])
    run = open_run(Warehouse(warehouse), run_id or ds)
    with run.step("etl") as figures:
        figures.update(etl(spark, run))
    return run


def record(run: Run) -> dict[str, Any]:
    mine = ("seconds", "grown_from")
    return {name: value for name, value in run.record("etl").items() if name not in mine}


def write_days(source: Path, *, text: bool, titles: bool, deletes: bool) -> None:
    """Parts of DAYS: users come back and rate again, new ones and new movies come between others.

    Lines of later parts may be older than those before; some are undated, and some are bad.
    """
    random = np.random.default_rng(5)
    for day, name in enumerate(DAYS, 1):
        users = np.arange(5, 400, 3) if day == 1 else random.choice(np.arange(1, 420), 20)
        movies = np.arange(2, 40, 4 - day)
        lines = ["user,item,stars,date" + ",gone" * deletes]
        for user in users:
            for movie in random.choice(movies, 9):
                at = f"202{random.integers(0, 6)}-0{random.integers(1, 4)}-11T0{random.integers(9)}"
                at = "" if random.random() < 0.05 else f"{at}:00:00"
                stars = "soon" if random.random() < 0.02 else random.integers(1, 11) / 2
                gone = f",{int(random.random() < 0.3)}" if deletes else ""
                mark = "u-" if text else ""
                lines.append(f"{mark}{user},{movie},{stars},{at}{gone}")
        part = source / f"ds={name}" / "orders.csv"
        part.parent.mkdir(parents=True)
        part.write_text("\n".join(lines) + "\n")
    if titles:
        titled = "".join(f"{movie},Title {movie} (1990)\n" for movie in range(45, 0, -1))
        (source / "movies.csv").write_text(f"item,title\n{titled}")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"text": False, "titles": False, "deletes": False}, []),
        ({"text": True, "titles": True, "deletes": True}, ["ingest.columns.deleted=gone"]),
        (
            {"text": True, "titles": False, "deletes": False},
            ["etl.split=leave-last-out", "etl.order_split=leave-last-out"],
        ),
    ],
    ids=["numbers alone", "texts, titles and deletions", "texts alone, last out"],
)
def test_three_nights_are_as_one(spark, tmp_path, form, said):
    write_days(tmp_path / "orders", **form)
    warehouse, source = tmp_path / "warehouse", tmp_path / "orders"
    nights = [night(spark, warehouse, source, ds, *said) for ds in DAYS]
    grown_from = [run.record("etl")["grown_from"] for run in nights]
    assert grown_from == [None, DAYS[0], DAYS[1]]
    whole = night(spark, warehouse, source, DAYS[-1], *said, "etl.mode=full", run_id="whole")
    assert whole.record("etl")["grown_from"] is None
    for output in OUTPUTS:
        assert rows_of(nights[-1], output) == rows_of(whole, output), output
    assert record(nights[-1]) == record(whole)
    # As score and ranks need them.
    rated = [pq.ParquetFile(file).read()["user_id"] for file in parquet_files(nights[-1].data("rated"))]
    users = np.concatenate([column.to_numpy() for column in rated])
    assert (np.diff(users) > 0).all()
    for file in parquet_files(nights[-1].data("splits")):
        assert pq.ParquetFile(file).num_row_groups == 1
    # Nothing has come since.
    again = night(spark, warehouse, source, DAYS[-1], *said, run_id="again")
    assert again.record("etl")["grown_from"] == "whole"
    for output in OUTPUTS:
        assert rows_of(again, output) == rows_of(whole, output), output
    assert record(again) == record(whole)
