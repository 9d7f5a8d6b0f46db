"""What of a delivery is usable, and what stands in quarantine, with file, line and reason."""

import pytest
from pyspark.sql import DataFrame

from jobs.cleaning.delivery import own_test, quarantine, read_delivery
from jobs.cleaning.ratings import newest, with_time
from jobs.release.detection import detect_layout
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from tests.jobs.examples import MOVIES, RATINGS, USERS, delivered, small_run


def quarantined(spark, run: Run) -> DataFrame:
    files = read_delivery(spark, run, detect_layout(run.raw)).files
    return quarantine(files, run.run_id)


def test_every_bad_line_is_quarantined_with_its_reason(spark, tmp_path):
    run = small_run(tmp_path)
    delivered(
        run.raw,
        ratings_dat=RATINGS.encode(),
        movies_dat=MOVIES.encode("latin-1"),
        users_dat=USERS.encode(),
    )
    rows = quarantined(spark, run).collect()
    found = {(row.file, row.line): (row.reason, row.content) for row in rows}
    assert found == {
        ("ratings.dat", 5): (
            "rating: expected 1 to 5 in steps of 1, found '6'",
            "2::2::6::978301968",
        ),
        ("ratings.dat", 6): (
            "movie_id: expected a whole number from 1 to 2147483647, found 'x'",
            "2::x::3::978301968",
        ),
        ("ratings.dat", 7): ("expected 4 fields, found 3", "2::2::3"),
        ("ratings.dat", 11): ("movie_id 99 is not in movies.dat", "2::99::3::978301968"),
        ("ratings.dat", 12): (
            "rating: expected 1 to 5 in steps of 1, found '3.5'",
            "2::2::3.5::978301968",
        ),
        ("ratings.dat", 13): (
            "timestamp: expected seconds since 1970, found 'soon'",
            "2::2::3::soon",
        ),
        ("ratings.dat", 14): ("expected 4 fields, found 1", ""),
        ("ratings.dat", 15): (
            "user_id: expected a whole number from 1 to 2147483647, found '0'",
            "0::1::3::978301968",
        ),
        ("movies.dat", 3): (
            "movie_id: expected a whole number from 1 to 2147483647, found 'x'",
            "x::No Number (1990)::Drama",
        ),
        ("movies.dat", 4): ("expected 3 fields, found 2", "5::Five (1990)"),
        ("movies.dat", 5): ("movie_id 2 was given by an earlier line", "2::Again (1999)::Drama"),
    }


def test_line_numbers_hold_across_blocks(spark, tmp_path):
    """The file is cut into many blocks; the bad lines are still found where they are."""
    lines = [f"{n}::1::3::978301968" for n in range(1, 401)]
    lines[0] = lines[149] = lines[399] = "bad"
    movies = b"1::One (1990)::Drama\n"
    run = small_run(tmp_path)
    delivered(run.raw, ratings_dat="\n".join(lines).encode(), movies_dat=movies)
    spark.conf.set("spark.sql.files.maxPartitionBytes", "1000")
    spark.conf.set("spark.sql.files.openCostInBytes", "0")
    try:
        rows = quarantined(spark, run).orderBy("line").collect()
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
        spark.conf.unset("spark.sql.files.openCostInBytes")
    assert [row.line for row in rows] == [1, 150, 400]


def test_bad_lines_of_parts_are_found_in_their_files(spark, tmp_path):
    """Whatever the parts are called, with a line of names each, and empty lines at some ends."""
    run = small_run(tmp_path, overrides=["ingest.dataset=mine", "ingest.source=x"])
    names = ["[a] 1%20é.csv", "[a] 2%20é.csv", "[a] 10%20é.csv"]
    bad = ["bad"] * 2 + ["user,item,stars"]
    for n, name in enumerate(names):
        lines = ["user,item,stars", *(f"{user},1,{n + 1}" for user in range(1, 40 >> n)), bad[n]]
        run.raw.mkdir(parents=True, exist_ok=True)
        (run.raw / name).write_text("\n".join(lines) + "\n" * (1 + 2 * n))
    delivery = read_delivery(spark, run, detect_layout(run.raw, run.conf.ingest))
    found = [(row.file, row.line) for row in quarantine(delivery.files, "run").collect()]
    assert sorted(found) == sorted(zip(names, [41, 21, 11], strict=True))
    assert (delivery.ratings.lines, delivery.ratings.bad) == (39 + 19 + 9 + 3, 3)
    # A later part's lines are later.
    last = newest(with_time(delivery.ratings.usable, run.ds)).filter("user_id = 1").collect()
    assert [row.rating for row in last] == [3]


def test_only_ml_100k_has_splits_of_its_own(spark, tmp_path):
    raw = delivered(tmp_path, ratings_dat=b"1::1::3::0\n", movies_dat=b"1::One (1990)::Drama\n")
    with pytest.raises(JobError, match=r"holds no ua\.test\. Only ml-100k has splits of its own"):
        own_test(spark, raw, detect_layout(raw), "ua")
