"""Clean data that grows out of an earlier run's is the same as if all were cleaned again."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.engines.duck import parquet_files
from jobs.etl import etl
from jobs.ingest import main as ingest
from jobs.runs.files import remove_record
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


def started(warehouse: Path, source: Path, ds: str, *said: str, run_id: str = "") -> Run:
    """Ingest what has come until a day."""
    fixed = ["--warehouse", str(warehouse), "--run-id", run_id or ds, "--ds", ds]
    told = [f"--set={each}" for each in ("etl.min_row_groups=3", *said)]
    ingest([*fixed, "--dataset", "mine", "--source", str(source), *told])
    return open_run(Warehouse(warehouse), run_id or ds)


def night(spark, warehouse: Path, source: Path, ds: str, *said: str, run_id: str = "") -> Run:
    """Ingest and clean what has come until a day; the run, whose record says what was found."""
    run = started(warehouse, source, ds, *said, run_id=run_id)
    with run.step("etl") as figures:
        figures.update(etl(spark, run))
    return run


def why_not(warehouse: Path, source: Path, ds: str, *said: str) -> str | None:
    """Why the clean data of a night cannot grow out of an earlier one; None if it can."""
    run = started(warehouse, source, ds, *said, run_id="asked")
    return None if run.etl_base else run.record("ingest")["why_etl_base"]


def record(run: Run) -> dict[str, Any]:
    mine = ("seconds", "grown_from")
    return {name: value for name, value in run.record("etl").items() if name not in mine}


def write_days(source: Path, *, text: bool, titles: bool, deletes: bool) -> None:
    """Parts of DAYS: users come back and rate again, new ones and new movies come between others.

    Lines of later parts may be older than those before; some are undated, and some are bad.
    """
    random, marks = np.random.default_rng(5), ("u-", "m-") if text else ("", "")
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
                lines.append(f"{marks[0]}{user},{marks[1]}{movie},{stars},{at}{gone}")
        part = source / f"ds={name}" / "orders.csv"
        part.parent.mkdir(parents=True)
        part.write_text("\n".join(lines) + "\n")
    if titles:
        titled = "".join(f"{marks[1]}{movie},Title {movie} (1990)\n" for movie in range(45, 0, -1))
        (source / "movies.csv").write_text(f"item,title\n{titled}")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"text": False, "titles": False, "deletes": False}, []),
        ({"text": True, "titles": True, "deletes": True}, ["ingest.columns.deleted=gone"]),
    ],
    ids=["numbers alone", "texts, titles and deletions"],
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
    rated = [
        pq.ParquetFile(file).read()["user_id"] for file in parquet_files(nights[-1].data("rated"))
    ]
    users = np.concatenate([column.to_numpy() for column in rated])
    assert (np.diff(users) > 0).all()
    for file in parquet_files(nights[-1].data("splits")):
        assert pq.ParquetFile(file).num_row_groups == 1
    if said:
        return
    # Nothing has come since.
    again = night(spark, warehouse, source, DAYS[-1], *said, run_id="again")
    assert again.record("etl")["grown_from"] == "whole"
    for output in OUTPUTS:
        assert rows_of(again, output) == rows_of(whole, output), output
    assert record(again) == record(whole)


def test_who_used_what_in_several_new_parts(spark, tmp_path):
    """The first night has no rating in two of the splits; a part may hold nothing usable."""
    warehouse, source = tmp_path / "warehouse", tmp_path / "orders"
    days = {
        "01": [
            (f"u-{user}", movie) for user in range(1, 61) for movie in (user % 7 + 1, user % 5 + 9)
        ],
        "02": [(f"u-{user}", movie) for user in range(55, 64) for movie in (2, 20, 21, 22)],
        "03": [("", movie) for movie in range(1, 9)],
        "04": [("u-3", 30), ("u-3", 31), ("u-64", 1)],
    }
    for day, used in days.items():
        part = source / f"ds=2026-01-{day}/used.csv"
        part.parent.mkdir(parents=True)
        part.write_text("user,item\n" + "".join(f"{user},{movie}\n" for user, movie in used))
    said = ["etl.split=leave-last-out", "etl.order_split=leave-last-out"]
    first = night(spark, warehouse, source, "2026-01-01", *said)
    assert (first.record("etl")["test"], first.record("etl")["implicit"]) == (0, True)
    last = night(spark, warehouse, source, "2026-01-04", *said)
    assert last.record("etl")["grown_from"] == "2026-01-01"
    whole = night(spark, warehouse, source, "2026-01-04", *said, "etl.mode=full", run_id="whole")
    for output in OUTPUTS:
        assert rows_of(last, output) == rows_of(whole, output), output
    assert record(last) == record(whole)
    assert last.record("etl")["test"] > 0


def test_what_else_has_changed_is_told_and_all_is_cleaned(spark, tmp_path, capsys):
    warehouse, source = tmp_path / "warehouse", tmp_path / "orders"
    write_days(source, text=True, titles=True, deletes=False)
    # There are ratings of movies to 39.
    titles = "".join(f"m-{movie},Title {movie}\n" for movie in range(1, 30))
    (source / "movies.csv").write_text(f"item,title\n{titles}")
    asked = partial(why_not, warehouse, source)
    said = ["etl.order_split=next-visit"]
    first = night(spark, warehouse, source, DAYS[0], *said)
    assert asked(DAYS[1], *said) is None
    assert asked(DAYS[1], *said, "etl.mode=full") == "etl.mode is full"
    assert asked(DAYS[1], *said, "etl.split=time") == "etl.split time deals all ratings anew"
    others = f"settings of ingest or etl are others than those of run {DAYS[0]}"
    assert asked(DAYS[1], *said, "etl.split_seed=8") == others
    part = source / f"ds={DAYS[0]}/orders.csv"
    before = part.read_text()
    part.write_text(before + "u-5,m-2,1,2020-01-01\n")
    changed = f"files that run {DAYS[0]} has read have changed or are gone"
    assert asked(DAYS[1], *said) == changed
    part.write_text(before)
    late = source / "ds=2025-12-31/orders.csv"
    late.parent.mkdir()
    late.write_text("user,item,stars,date\nu-5,m-2,1,2020-01-01\n")
    assert asked(DAYS[1], *said) == f"parts have come for days before the last of run {DAYS[0]}"
    late.unlink()
    rated = first.data("rated")
    rated.rename(first.folder / "elsewhere")
    assert asked(DAYS[1], *said) == f"rated of run {DAYS[0]} is gone"
    (first.folder / "elsewhere").rename(rated)
    # What was refused for want of a title has one now.
    with (source / "movies.csv").open("a") as opened:
        opened.write("m-38,Title 38\n")
    capsys.readouterr()
    second = night(spark, warehouse, source, DAYS[1], *said)
    assert second.etl_base == DAYS[0]
    assert second.record("etl")["grown_from"] is None
    after_all = (
        "all is read after all: ratings in quarantine may be of movies that have a title now"
    )
    assert after_all in capsys.readouterr().out
    assert "m-38" in {row["source_movie_id"] for row in rows_of(second, "movies")}
    # A base that was emptied, or is being made again, will do no more.
    third = started(warehouse, source, DAYS[2], *said)
    assert third.etl_base == DAYS[1]
    remove_record(second.record_file("etl"))
    with third.step("etl") as figures:
        figures.update(etl(spark, third))
    assert figures["grown_from"] is None
    assert f"run {DAYS[1]} has no clean data" in capsys.readouterr().out
