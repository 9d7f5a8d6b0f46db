"""The ETL as a whole, on tiny deliveries worked out by hand."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.cleaning.outputs import SPLITS
from jobs.etl import etl
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from tests.jobs.examples import MOVIES, RATINGS, USERS, small_run


def delivery(folder: Path, release: str, files: dict[str, bytes], **settings) -> Run:
    overrides = [f"etl.{key}={value}" for key, value in settings.items()]
    run = small_run(folder, release, ["etl.min_row_groups=2", *overrides])
    run.raw.mkdir(parents=True)
    for name, content in files.items():
        (run.raw / name).write_bytes(content)
    return run


def run_etl(spark, run: Run) -> dict[str, Any]:
    return etl(spark, run)


def rows(spark, run: Run, name: str, *order: str) -> list[tuple]:
    table = spark.read.parquet(str(run.output(name)))
    return [tuple(row) for row in table.orderBy(*order).collect()]


@pytest.fixture
def dat(tmp_path):
    return delivery(
        tmp_path,
        "ml-1m",
        {
            "ratings.dat": RATINGS.encode(),
            "movies.dat": MOVIES.encode("latin-1"),
            "users.dat": USERS.encode(),
        },
    )


def test_the_1m_layout(spark, dat):
    figures = run_etl(spark, dat)
    assert figures == figures | {
        "lines": 15,
        "ratings": 6,
        "duplicates": 1,
        "quarantined": 11,
        "users": 4,
        "movies": 3,
        "undated": 2,
        "layout": "ratings.dat",
        "encoding": "ISO-8859-1",
        "rating_min": 1,
        "rating_max": 5,
    }
    clean = [
        (user, movie, rating, at)
        for user, movie, rating, at, _ in rows(spark, dat, "ratings", "user_id", "movie_id")
    ]
    assert clean == [
        (1, 1, 4.0, datetime(2000, 12, 31, 22, 16, 39)),  # given twice: the newer counts
        (1, 2, 3.0, datetime(2000, 12, 31, 22, 35, 9)),
        (2, 1, 4.0, None),  # a timestamp of 0 is no time
        (3, 1, 2.0, datetime(2026, 1, 3, 23, 59, 59)),  # the run is of 2026-01-02
        (3, 2, 2.0, None),  # the day after tomorrow
        (3, 7, 1.0, datetime(2000, 12, 31, 22, 32, 48)),
    ]
    assert rows(spark, dat, "movies", "movie_id") == [
        (1, "Toy Story (1995)", 1995, ["Animation", "Children's", "Comedy"], None),
        (2, "Misérables, Les (1995)", 1995, ["Drama"], None),
        (7, "Seven, and a comma", None, [], None),
    ]
    assert rows(spark, dat, "users", "user_id") == [
        (1, "F", 1, "K-12 student", "48067", None),
        (2, "M", 56, "self-employed", "70072", None),
        (3, *[None] * 5),  # has rated, but users.dat does not know the id
        (9, "M", 25, "writer", "55117", None),  # has not rated
    ]
    assert rows(spark, dat, "rated", "user_id") == [(1, [1, 2]), (2, [1]), (3, [1, 2, 7]), (9, [])]
    assert rows(spark, dat, "movie_index", "movie_id") == [(1, 0), (2, 1), (7, 2)]
    assert figures["order_split"] == "time"
    assert figures["why_order_split"] == (
        "only 1 of 3 users have two dated visits; 4 of 6 ratings have a time"
    )
    assert rows(spark, dat, "histories", "user_idx") == [
        # The oldest 80% and more of the four with a time train.
        (0, [0, 1], [4.0, 3.0], [978300999, 978302109], [0, 0]),
        (1, [0], [4.0], [None], [0]),
        (2, [1, 2, 0], [2.0, 1.0, 2.0], [None, 978302088 - 120, 1767484799], [0, 0, 0]),
    ]


def test_the_100k_layout_and_its_own_split(spark, tmp_path):
    data = "".join(
        f"{user}\t{movie}\t4\t89{user}{movie}\n" for user in (1, 2) for movie in (1, 2, 3)
    )
    files = {
        "u.data": data.encode(),
        "u.item": "1|Métisse (1993)|||http://a|1|0\n2|Two|01-Jan-1998||http://b|0|1\n"
        "3|Three (1990)|||http://c|0|1\n".encode("latin-1"),
        "u.genre": b"unknown|0\nDrama|1\n\n",
        "u.user": b"1|24|M|technician|85711\n2|53|F|other|94043\n",
        "u2.test": b"1\t3\t4\t8913\n2\t2\t4\t8922\n",
    }
    run = delivery(tmp_path, "ml-100k", files, split="given", given="u2")
    figures = run_etl(spark, run)
    assert (figures["lines"], figures["ratings"], figures["test"]) == (6, 6, 2)
    dealt = {row[:2]: row[4] for row in rows(spark, run, "ratings", "user_id")}
    assert {pair for pair, split in dealt.items() if split == "test"} == {(1, 3), (2, 2)}
    assert rows(spark, run, "movies", "movie_id") == [
        (1, "Métisse (1993)", 1993, [], None),
        (2, "Two", 1998, ["Drama"], None),
        (3, "Three (1990)", 1990, ["Drama"], None),
    ]
    assert rows(spark, run, "users", "user_id")[0] == (1, "M", 24, "technician", "85711", None)


def test_the_csv_layout(spark, tmp_path):
    run = delivery(
        tmp_path,
        "ml-latest-small",
        {
            "ratings.csv": b"userId,movieId,rating,timestamp\r\n"
            b"1,31,2.5,1260759144\r\n7,31,0.5,1\n7,31\n",
            "movies.csv": "movieId,title,genres\n"
            '31,"Amélie, or ""A"" Life (2001)",Comedy|Romance\n'
            '32,"Open quote (1999),Drama\n'
            "33,Nothing (1999),(no genres listed)\n".encode(),
        },
    )
    figures = run_etl(spark, run)
    assert (figures["ratings"], figures["quarantined"], figures["users"]) == (2, 2, 2)
    assert rows(spark, run, "movies", "movie_id") == [
        (31, 'Amélie, or "A" Life (2001)', 2001, ["Comedy", "Romance"], None),
        (33, "Nothing (1999)", 1999, [], None),
    ]
    assert [r[:4] for r in rows(spark, run, "quarantine", "file")] == [
        (
            "movies.csv",
            3,
            "expected 3 fields, found a line that is not CSV",
            '32,"Open quote (1999),Drama',
        ),
        ("ratings.csv", 4, "expected 4 fields, found a line that is not CSV", "7,31"),
    ]


def test_histories_are_dealt_as_the_settings_say(spark, tmp_path):
    """Users in ranges of files; of each, the last visit is test and the one before validation."""
    hour = 3600
    lines = [
        f"{user}::{movie}::4::{time}"
        for user in range(1, 41)
        for movie, time in ((3, hour), (2, hour), (1, 3 * hour), (4, 9 * hour), (5, 10 * hour))
    ]
    movies = "".join(f"{m}::M{m} (1990)::Drama\n" for m in range(1, 6)).encode()
    dat = {"ratings.dat": "\n".join(lines).encode(), "movies.dat": movies}
    run = delivery(tmp_path, "ml-1m", dat, order_split="next-visit", visit_gap_minutes=90)
    figures = run_etl(spark, run)
    assert (figures["order_split"], figures["order_users"]) == ("next-visit", 40)
    assert figures["order_validation_users"] == 40
    times = [hour, hour, 3 * hour, 9 * hour, 10 * hour]
    assert rows(spark, run, "histories", "user_idx") == [
        (user, [1, 2, 0, 3, 4], [4.0] * 5, times, [0, 0, 1, 2, 2]) for user in range(40)
    ]
    parts = [
        pq.read_table(file)["user_idx"] for file in sorted(run.data("histories").glob("*.parquet"))
    ]
    assert len(parts) >= 2
    assert [user for part in parts for user in part.to_pylist()] == list(range(40))


def test_a_delivery_without_a_usable_rating_stops(spark, tmp_path):
    files = {"ratings.dat": b"nonsense\n", "movies.dat": b"1::One (1990)::Drama\n"}
    run = delivery(tmp_path, "ml-1m", files)
    with pytest.raises(JobError, match=r"no usable rating.*expected 4 fields, found 1"):
        run_etl(spark, run)


def of_own(run: Run) -> Run:
    """The run, of somebody's own files."""
    ingest = run.conf.ingest.model_copy(update={"dataset": "mine"})
    return replace(run, conf=run.conf.model_copy(update={"ingest": ingest}))


def test_ids_that_are_texts_keep_their_numbers(spark, tmp_path):
    """On a second night some are new, and some of the first are gone."""
    movies = b"item,title\nB1,One\n007,Seven\n7,Other\nB1,Again\n"
    first = b"user,item,score\nu-b,B1,1\nu-a,007,2\nu-a,7,3\nu-a,b1,4\n ,B1,5\nu-c,B9,5\n"
    night = delivery(tmp_path, "mine", {"ratings.csv": first, "movies.csv": movies})
    run_etl(spark, of_own(night))
    assert [(row[0], row[-1]) for row in rows(spark, night, "movies", "movie_id")] == [
        (-2, "B1"), (-1, "007"), (7, "7")
    ]  # fmt: skip
    # Who has rated nothing that there is, gets no number.
    assert [(row[0], row[-1]) for row in rows(spark, night, "users", "user_id")] == [
        (-2, "u-b"), (-1, "u-a")
    ]  # fmt: skip
    clean = [row[:3] for row in rows(spark, night, "ratings", "user_id", "movie_id")]
    assert clean == [(-2, -2, 1), (-1, -1, 2), (-1, 7, 3)]
    assert [row[2] for row in rows(spark, night, "quarantine", "file", "line")] == [
        "movie_id B1 was given by an earlier line",
        "movie_id b1 is not in movies.csv",
        "user_id: expected an id, found ' '",
        "movie_id B9 is not in movies.csv",
    ]
    (night.raw / "ratings.csv").write_bytes(b"user,item,score\nu-0,B0,1\n17,B1,2\nu-b,B1,3\n")
    (night.raw / "movies.csv").write_bytes(b"item,title\nB0,A\nB1,One\n")
    run_etl(spark, of_own(night))
    clean = [row[:3] for row in rows(spark, night, "ratings", "user_id", "movie_id")]
    assert clean == [(-3, -3, 1), (-2, -2, 3), (17, -2, 2)]


def test_own_ratings_without_a_file_of_movies(spark, tmp_path):
    """Titles are the ids, and the scale is that of the ratings."""
    lines = [f"{user},{movie},{10 * (user + movie)}" for user in (1, 2) for movie in (7, 30)]
    run = delivery(tmp_path, "mine", {"my own.csv": "\n".join([*lines, "1,6.5,3"]).encode()})
    figures = run_etl(spark, of_own(run))
    movies = rows(spark, run, "movies", "movie_id")
    assert movies == [(7, "7", None, [], None), (30, "30", None, [], None)]
    clean = [row[:4] for row in rows(spark, run, "ratings", "user_id", "movie_id")]
    assert clean == [(1, 7, 80, None), (1, 30, 310, None), (2, 7, 90, None), (2, 30, 320, None)]
    assert rows(spark, run, "quarantine", "line") == [
        ("my own.csv", 5, "movie_id: expected a whole number from 1 to 2147483647, found '6.5'",
         "1,6.5,3", "run"),
    ]  # fmt: skip
    said = ("rating_min", "rating_max", "movies", "quarantined", "undated", "layout")
    assert [figures[name] for name in said] == [80, 320, 2, 1, 4, "my own.csv"]


def deleting(folder: Path, files: dict[str, str]) -> Run:
    """A run of somebody's own files whose column `gone` deletes."""
    run = delivery(folder, "mine", {name: content.encode() for name, content in files.items()})
    columns = run.conf.ingest.columns.model_copy(update={"deleted": "gone"})
    told = {"dataset": "mine", "source": "x", "columns": columns}
    ingest = run.conf.ingest.model_copy(update=told)
    return replace(run, conf=run.conf.model_copy(update={"ingest": ingest}))


def test_the_newest_line_may_delete_a_rating(spark, tmp_path):
    """Users and movies whose every rating is deleted are none, and who deletes need not rate."""
    lines = """user,item,stars,date,gone
u-1,a,5,2026-01-01,
u-1,a,,2026-01-02,true
u-1,b,4,2026-01-01,0
u-2,a,3,2026-01-01,No
u-2,a,,2025-12-31,1
u-2,b,,2026-01-01,yes
u-2,b,2,2026-01-02,false
u-3,a,1,2026-01-01,F
u-3,a,1,2026-01-01,T
u-3,c,,2026-01-01,1
u-3,d,2,2026-01-01,
u-3,d,9,2026-01-03,1.0
u-2,c,,2026-01-01,maybe
"""
    run = deleting(tmp_path, {"ratings.csv": lines})
    figures = run_etl(spark, run)
    assert figures == figures | {
        # u-1 and u-3's of a, u-3's of c and d, and what u-2 deleted and rated again.
        "deleted": 9,
        "duplicates": 0,
        "ratings": 3,
        "users": 2,
        "movies": 2,
        "quarantined": 1,
        # A rating that is gone is none of the scale.
        "rating_max": 4.0,
    }
    users = {name: number for number, *_, name in rows(spark, run, "users", "user_id")}
    movies = {row[4]: row[0] for row in rows(spark, run, "movies", "movie_id")}
    assert [row[:3] for row in rows(spark, run, "ratings", "rating")] == [
        (users["u-2"], movies["b"], 2.0),
        (users["u-2"], movies["a"], 3.0),
        (users["u-1"], movies["b"], 4.0),
    ]
    reason = "deleted: expected true or false, 1 or 0, found 'maybe'"
    assert [row[2] for row in rows(spark, run, "quarantine", "line")] == [reason]
    assert sum(len(row[1]) for row in rows(spark, run, "histories", "user_idx")) == 3


def test_who_used_what_may_be_taken_back(spark, tmp_path):
    """Undated lines follow one another as they come, and movies of a file stay, rated or not."""
    used = "user,item,gone\n1,7,\n1,8,\n1,7,1\n1,9,1\n2,7,1\n2,7,0\n3,8,\n3,8,1\n"
    files = {"ratings.csv": used, "movies.csv": "item,title\n7,Seven\n8,Eight\n"}
    run = deleting(tmp_path, files)
    figures = run_etl(spark, run)
    assert figures == figures | {"implicit": True, "deleted": 5, "duplicates": 0, "movies": 2}
    clean = [row[:3] for row in rows(spark, run, "ratings", "user_id")]
    assert clean == [(1, 8, 1), (2, 7, 1)]
    assert [row[0] for row in rows(spark, run, "users", "user_id")] == [1, 2]
    [unknown] = rows(spark, run, "quarantine", "line")
    assert unknown[2] == "movie_id 9 is not in movies.csv"


def test_a_delivery_whose_every_rating_is_deleted_stops(spark, tmp_path):
    run = deleting(tmp_path, {"ratings.csv": "user,item,stars,gone\n1,2,3,0\n1,2,,1\n"})
    with pytest.raises(JobError, match=r"no rating is left.*ingest\.columns\.deleted"):
        run_etl(spark, run)


def test_training_rows_are_dealt_and_indexed(spark, tmp_path):
    """Each rating lands in one split, by row number, in even files of one row group."""
    lines = [
        f"{u}::{m}::{1 + (u + m) % 5}::{978300000 + m if u % 2 else 0}"
        for u in range(1, 81)
        for m in range(2, 60, 2)
    ]
    movies = "".join(f"{m}::M{m} (1990)::Drama\n" for m in range(2, 60, 2)).encode()
    run = delivery(
        tmp_path, "ml-1m", {"ratings.dat": "\n".join(lines).encode(), "movies.dat": movies}
    )
    figures = run_etl(spark, run)
    assert sum(figures[split] for split in SPLITS) == len(lines) == figures["ratings"]
    assert 0.7 < figures["train"] / len(lines) < 0.9
    dealt = [
        row for split in SPLITS for row in rows(spark, run, f"splits/split={split}", "user_idx")
    ]
    given = {
        (u - 1, m // 2 - 1, 1.0 + (u + m) % 5, 978300000 + m if u % 2 else -1)
        for u in range(1, 81)
        for m in range(2, 60, 2)
    }
    assert len(dealt) == len(given)
    assert set(dealt) == given
    files = run.split("train").glob("*.parquet")
    sizes = [spark.read.parquet(str(file)).count() for file in files]
    assert len(sizes) == 2
    assert min(sizes) > 0.8 * max(sizes)
