"""Ratings of each layout with its oddities, in a few lines."""

from pathlib import Path

import pytest

from jobs.cleaning.lines import read_lines
from jobs.cleaning.ratings import parse_ratings
from jobs.release.detection import detect_layout
from jobs.runs.configuration import load_configuration
from tests.jobs.examples import delivered


def ratings_of(spark, raw: Path, *said: str) -> list[tuple]:
    """user_id, movie_id, rating and timestamp, and the reason where there is one.

    `said`: of somebody's own files, what the section `ingest` holds.
    """
    settings = [f"ingest.{each}" for each in ("dataset=mine", "source=x", *said)]
    layout = detect_layout(raw, load_configuration(settings).ingest if said else None)
    lines = read_lines(spark, raw, layout.ratings, layout.encoding)
    rows = parse_ratings(lines, layout).orderBy("block", "position").collect()
    return [row.reason or (row.user_id, row.movie_id, row.rating, row.timestamp) for row in rows]


def test_100k(spark, tmp_path):
    raw = delivered(
        tmp_path,
        u_genre=b"unknown|0\n",
        u_item=b"",
        u_data=b"196\t242\t3\t881250949\r\n186\t302\t3.5\t891717742\n22\t377\t1\n22\t377\t1\t2\t3\n\n",
    )
    assert ratings_of(spark, raw) == [
        (196, 242, 3.0, 881250949),
        "rating: expected 1 to 5 in steps of 1, found '3.5'",
        "expected 4 fields, found 3",
        "expected 4 fields, found 5",
    ]


def test_10m_has_half_stars(spark, tmp_path):
    raw = delivered(
        tmp_path,
        ratings_dat=b"1::122::5::838985046\n1::185::0.5::838983525\n1::2::::8\n1:::2::3\n\n\n",
        movies_dat=b"",
    )
    assert ratings_of(spark, raw) == [
        (1, 122, 5.0, 838985046),
        (1, 185, 0.5, 838983525),
        "rating: expected 0.5 to 5 in steps of 0.5, found ''",
        # Fields end at the first separator that there is.
        "expected 4 fields, found 3",
    ]


def test_csv_with_a_mark_at_its_start(spark, tmp_path):
    raw = delivered(
        tmp_path,
        ratings_csv=b'\xef\xbb\xbf"userId","movieId","rating","timestamp"\r\n1,31,4,1\r\n\r\n',
        movies_csv=b"movieId,title,genres\n",
    )
    assert ratings_of(spark, raw) == [(1, 31, 4.0, 1)]


def test_own_ratings_and_their_times(spark, tmp_path):
    """Numbers as tables of others hold them; what most lines do not do goes to quarantine."""
    dated = delivered(
        tmp_path / "dated",
        ratings_csv=b"""at;user;item;score;shop
2018-01-17; 1.0 ;2; 4,5 ;a
2018-01-17 10:00:00+02:00;1;3;-2e1;"a;b"
;2147483647;3;0;
1515974400;1;4;3;a
2018-02-30;1;4;3;a
2018-01-17;1.5;4;3;a
2018-01-17;1;4;good;a
2018-01-17;1;4;1e400;a
2018-01-17;1;4;3
""",
    )
    assert ratings_of(spark, dated, "columns.time=at") == [
        (1, 2, 4.5, 1516147200),
        (1, 3, -20.0, 1516176000),
        (2147483647, 3, 0.0, 0),
        "timestamp: expected a date as in 2018-01-17, found '1515974400'",
        "timestamp: expected a date as in 2018-01-17, found '2018-02-30'",
        "user_id: expected a whole number from 1 to 2147483647, found '1.5'",
        "rating: expected any number, found 'good'",
        "rating: expected any number, found '1e400'",
        "expected 5 fields, found a line that is not CSV",
    ]


@pytest.mark.parametrize(
    ("said", "time", "seconds"),
    [
        ("separator=null", "1515974400.75", 1515974400),
        ("separator=null", "1515974400999", 1515974400),
        ("separator=null", "1515974400999999", 1515974400),
        ("separator=null", "20180115", 1515974400),
        ("time=d.M.yyyy", "15.1.2018", 1515974400),
        ("time=MM/dd/yyyy HH:mm", "01/15/2018 00:01", 1515974460),
        ("time=milliseconds", "1515974400", 1515974),
    ],
)
def test_own_times_in_other_units(spark, tmp_path, said, time, seconds):
    raw = delivered(tmp_path, ratings_csv=f"1,2,60,{time}\n3,2,100,{time}\n1,2,101,x\n".encode())
    assert ratings_of(spark, raw, said, "rating_scale=[0,100]") == [
        (1, 2, 60.0, seconds),
        (3, 2, 100.0, seconds),
        "rating: expected 0 to 100, found '101'",
    ]


@pytest.mark.parametrize(
    ("kind", "given", "movie", "source"),
    [
        ("integer", " 17.0 ", 17, "17"),
        ("integer", "017", 17, "17"),
        ("integer", "9223372036854775807", None, "9223372036854775807"),
        ("integer", "9223372036854775808", None, None),
        ("integer", "0", None, None),
        ("integer", "B7", None, None),
        ("string", " B 7 ", None, "B 7"),
        ("string", "17", 17, "17"),
        ("string", "017", None, "017"),
        ("string", "2147483648", None, "2147483648"),
        ("string", " ", None, None),
        ("string", "B\0", None, None),
    ],
)
def test_ids_of_other_kinds(spark, tmp_path, kind, given, movie, source):
    raw = delivered(tmp_path, ratings_csv=f"user;item;score\n1;{given};3\n".encode())
    ingest = load_configuration(["ingest.dataset=mine", "ingest.source=x", f"ingest.ids={kind}"])
    layout = detect_layout(raw, ingest.ingest)
    [row] = parse_ratings(read_lines(spark, raw, layout.ratings, "UTF-8"), layout).collect()
    assert (row.user_id, row.source_user_id) == (1, "1")
    assert (row.movie_id, row.source_movie_id) == (movie, source)
    expected = {"integer": "a whole number from 1 to 9223372036854775807", "string": "an id"}
    reason = f"movie_id: expected {expected[kind]}, found '{given}'"
    assert row.reason == (None if source else reason)
