"""Each layout with its oddities, in a few lines; and what is told from the files alone."""

from pathlib import Path

import pytest

from jobs.cleaning import movies, ratings, users
from jobs.cleaning.lines import read_lines
from jobs.release.layouts import Layout, detect_layout, find_layout
from jobs.runs.errors import JobError

GENRES = "\n".join(f"{name}|{n}" for n, name in enumerate(["unknown", "Action", "Drama"])) + "\n\n"


def folder_of(folder: Path, **files: bytes) -> Path:
    """A delivery whose files are written `u_data` for u.data."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def movies_of(spark, raw: Path, layout: Layout) -> list[tuple]:
    """movie_id, title, year and genres of the movies file, and the reason where there is one."""
    lines = read_lines(spark, raw / layout.movies.file, layout)
    rows = movies.parse_movies(lines, layout).orderBy("block", "position").collect()
    return [row.reason or (row.movie_id, row.title, row.year, row.genres) for row in rows]


def ratings_of(spark, raw: Path, layout: Layout) -> list[tuple]:
    lines = read_lines(spark, raw / layout.ratings.file, layout)
    rows = ratings.parse_ratings(lines, layout).orderBy("block", "position").collect()
    return [row.reason or (row.user_id, row.movie_id, row.rating, row.timestamp) for row in rows]


def test_100k(spark, tmp_path):
    raw = folder_of(
        tmp_path,
        u_genre=GENRES.encode(),
        u_data=b"196\t242\t3\t881250949\r\n186\t302\t3.5\t891717742\n22\t377\t1\n\n",
        u_item="1|Misérables, Les (1995) |01-Jan-1996||http://a|0|0|1\n"
        "267|unknown||||1|0|0\n"
        "3|Only a Date|16-Feb-1997||http://b|0|1|1\n"
        "4|Land Before Time III (1995) (V)|||http://c|0|2|0\n"
        "5|A Flag Too Few (1995)|||http://c|0|0\n".encode("latin-1"),
        u_user=b"1|24|M|technician|85711\n2|x|F||T8H1N\n",
    )
    layout = detect_layout(raw)
    assert str(layout) == (
        "u.data and u.item and u.user in ISO-8859-1, ratings 1 to 5 in steps of 1"
    )
    assert movies_of(spark, raw, layout) == [
        (1, "Misérables, Les (1995)", 1995, ["Drama"]),
        (267, "unknown", None, []),
        (3, "Only a Date", 1997, ["Action", "Drama"]),
        "genres: expected 0 or 1 for each genre",
        "expected 8 fields, found 7",
    ]
    assert ratings_of(spark, raw, layout) == [
        (196, 242, 3.0, 881250949),
        "rating: expected 1 to 5 in steps of 1, found '3.5'",
        "expected 4 fields, found 3",
    ]
    assert layout.users
    lines = read_lines(spark, raw / "u.user", layout)
    parsed = users.parse_users(lines, layout.users).orderBy("user_id").collect()
    assert [tuple(row)[4:] for row in parsed] == [
        (1, "M", 24, "technician", "85711"),
        (2, "F", None, None, "T8H1N"),
    ]


def test_10m_is_utf_8_with_half_stars_and_without_users(spark, tmp_path):
    raw = folder_of(
        tmp_path,
        ratings_dat=b"1::122::5::838985046\n1::185::0.5::838983525\n\n\n",
        movies_dat="\ufeff1::Caf\u00e9 (1995) (1996)::Drama|IMAX|Drama\n"
        "2::Cafe\u0301 Two (2007-2009)::(no genres listed)\n"
        "\n"
        "3::No Year::Sci-Fi\n\n".encode(),
    )
    layout = detect_layout(raw)
    assert str(layout) == ("ratings.dat and movies.dat in UTF-8, ratings 0.5 to 5 in steps of 0.5")
    assert movies_of(spark, raw, layout) == [
        (1, "Café (1995) (1996)", 1996, ["Drama", "IMAX"]),
        (2, "Café Two (2007-2009)", 2007, []),  # the accent was a character of its own
        "expected 3 fields, found 1",
        (3, "No Year", None, ["Sci-Fi"]),
    ]
    assert [row[2] for row in ratings_of(spark, raw, layout)] == [5.0, 0.5]


def test_csv_with_a_mark_at_its_start(spark, tmp_path):
    raw = folder_of(
        tmp_path,
        ratings_csv=b'\xef\xbb\xbf"userId","movieId","rating","timestamp"\r\n1,31,4,1\r\n\r\n',
        movies_csv="\ufeffmovieId,title,genres\r\n"
        '31,"Amélie, or ""A"" Life (2001) ",Comedy|Romance\r\n'
        "32,Sherlock (2010– ),\r\n"
        '33,"Mona (1983))",(no genres listed)\r\n'
        "34,\u00a0And God (Et Dieu&#8230;Créa) (1956)\u00a0,Drama\r\n".encode(),
    )
    layout = detect_layout(raw)
    assert movies_of(spark, raw, layout) == [
        (31, 'Amélie, or "A" Life (2001)', 2001, ["Comedy", "Romance"]),
        (32, "Sherlock (2010– )", 2010, []),
        (33, "Mona (1983))", 1983, []),
        (34, "And God (Et Dieu…Créa) (1956)", 1956, ["Drama"]),
    ]
    assert ratings_of(spark, raw, layout) == [(1, 31, 4.0, 1)]


def test_a_few_bad_lines_change_neither_encoding_nor_scale(tmp_path):
    latin, utf = "1::Café (1995)::Drama\n".encode("latin-1"), "1::Café (1995)::Drama\n".encode()
    folder_of(tmp_path, ratings_dat=b"1::1::5::0\n" * 30 + b"1::1::3.5::0\n" * 3)
    folder_of(tmp_path, movies_dat=utf * 3 + latin)
    assert (detect_layout(tmp_path).encoding, detect_layout(tmp_path).rating_step) == ("UTF-8", 1)
    folder_of(tmp_path, ratings_dat=b"1::1::5::0\n" * 30 + b"1::1::3.5::0\n" * 4)
    folder_of(tmp_path, movies_dat=latin * 3 + utf)
    layout = detect_layout(tmp_path)
    assert (layout.encoding, layout.rating_step) == ("ISO-8859-1", 0.5)


def test_the_scale_of_a_large_file_is_told_from_pieces_of_all_of_it(tmp_path):
    """Half stars came years after the first ratings: the start of ml-10m may hold none."""
    early, late = b"1::1::5::838985046\n" * 120_000, b"1::1::3.5::1230000000\n" * 40_000
    folder_of(tmp_path, ratings_dat=early + late, movies_dat=b"")
    assert detect_layout(tmp_path).rating_step == 0.5


@pytest.mark.parametrize(
    ("genres", "found"),
    [(b"unknown|0\nAction|2\n", r"line 2: .*as in Drama\|1, found 'Action\|2'"), (b"|0", "line 1")],
)
def test_genres_must_be_numbered(tmp_path, genres, found):
    with pytest.raises(JobError, match=rf"u\.genre: {found}"):
        detect_layout(folder_of(tmp_path, u_data=b"", u_item=b"", u_genre=genres))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(JobError, match=r"zip: u\.item is missing and u\.genre is missing\. Expec"):
        find_layout(folder_of(tmp_path, u_data=b""), "zip")
