"""Ratings of each layout with its oddities, in a few lines."""

from pathlib import Path

from jobs.cleaning.lines import read_lines
from jobs.cleaning.ratings import parse_ratings
from jobs.release.layouts import detect_layout
from tests.jobs.examples import delivered


def ratings_of(spark, raw: Path) -> list[tuple]:
    """user_id, movie_id, rating and timestamp, and the reason where there is one."""
    layout = detect_layout(raw)
    lines = read_lines(spark, raw / layout.ratings.file, layout)
    rows = parse_ratings(lines, layout).orderBy("block", "position").collect()
    return [row.reason or (row.user_id, row.movie_id, row.rating, row.timestamp) for row in rows]


def test_100k(spark, tmp_path):
    raw = delivered(
        tmp_path,
        u_genre=b"unknown|0\n",
        u_item=b"",
        u_data=b"196\t242\t3\t881250949\r\n186\t302\t3.5\t891717742\n22\t377\t1\n\n",
    )
    assert ratings_of(spark, raw) == [
        (196, 242, 3.0, 881250949),
        "rating: expected 1 to 5 in steps of 1, found '3.5'",
        "expected 4 fields, found 3",
    ]


def test_10m_has_half_stars(spark, tmp_path):
    raw = delivered(
        tmp_path,
        ratings_dat=b"1::122::5::838985046\n1::185::0.5::838983525\n\n\n",
        movies_dat=b"",
    )
    assert [row[2] for row in ratings_of(spark, raw)] == [5.0, 0.5]


def test_csv_with_a_mark_at_its_start(spark, tmp_path):
    raw = delivered(
        tmp_path,
        ratings_csv=b'\xef\xbb\xbf"userId","movieId","rating","timestamp"\r\n1,31,4,1\r\n\r\n',
        movies_csv=b"movieId,title,genres\n",
    )
    assert ratings_of(spark, raw) == [(1, 31, 4.0, 1)]
