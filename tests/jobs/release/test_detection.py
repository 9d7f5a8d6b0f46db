"""What is told from the files of a delivery alone: layout, encoding, rating scale, genres."""

import tracemalloc

import pytest

from jobs.release.detection import detect_layout
from jobs.runs.errors import JobError
from tests.jobs.examples import delivered


def test_100k(tmp_path):
    raw = delivered(
        tmp_path,
        u_genre=b"unknown|0\nAction|1\nDrama|2\n\n",
        u_data=b"196\t242\t3\t881250949\r\n186\t302\t3.5\t891717742\n22\t377\t1\n\n",
        u_item="1|Misérables, Les (1995) |01-Jan-1996||http://a|0|0|1\n".encode("latin-1"),
        u_user=b"1|24|M|technician|85711\n",
    )
    assert str(detect_layout(raw)) == (
        "u.data and u.item and u.user in ISO-8859-1, ratings 1 to 5 in steps of 1"
    )


def test_10m_is_utf_8_with_half_stars_and_without_users(tmp_path):
    raw = delivered(
        tmp_path,
        ratings_dat=b"1::122::5::838985046\n1::185::0.5::838983525\n\n\n",
        movies_dat="\ufeff1::Caf\u00e9 (1995) (1996)::Drama|IMAX|Drama\n".encode(),
    )
    assert str(detect_layout(raw)) == (
        "ratings.dat and movies.dat in UTF-8, ratings 0.5 to 5 in steps of 0.5"
    )


def test_a_csv_without_a_column_that_is_needed_stops(tmp_path):
    delivered(tmp_path, ratings_csv=b"user,item,weight\n", movies_csv=b"movieId,title,genres\n")
    said = r"has no column of the rating: .* in ingest\.columns\.rating\. If .* columns: user, item"
    with pytest.raises(JobError, match=said):
        detect_layout(tmp_path)


def test_a_few_bad_lines_change_neither_encoding_nor_scale(tmp_path):
    latin, utf = "1::Café (1995)::Drama\n".encode("latin-1"), "1::Café (1995)::Drama\n".encode()
    delivered(tmp_path, ratings_dat=b"1::1::5::0\n" * 30 + b"1::1::3.5::0\n" * 3)
    delivered(tmp_path, movies_dat=utf * 3 + latin)
    assert (detect_layout(tmp_path).encoding, detect_layout(tmp_path).rating_step) == ("UTF-8", 1)
    delivered(tmp_path, ratings_dat=b"1::1::5::0\n" * 30 + b"1::1::3.5::0\n" * 4)
    delivered(tmp_path, movies_dat=latin * 3 + utf)
    layout = detect_layout(tmp_path)
    assert (layout.encoding, layout.rating_step) == ("ISO-8859-1", 0.5)


def test_the_scale_of_a_large_file_is_told_from_pieces_of_all_of_it(tmp_path):
    """Half stars came years after the first ratings: the start of ml-10m may hold none."""
    early, late = b"1::1::5::838985046\n" * 120_000, b"1::1::3.5::1230000000\n" * 40_000
    delivered(tmp_path, ratings_dat=early + late, movies_dat=b"")
    assert detect_layout(tmp_path).rating_step == 0.5


@pytest.mark.parametrize(
    ("genres", "found"),
    [(b"unknown|0\nAction|2\n", r"line 2: .*as in Drama\|1, found 'Action\|2'"), (b"|0", "line 1")],
)
def test_genres_must_be_numbered(tmp_path, genres, found):
    with pytest.raises(JobError, match=rf"u\.genre: {found}"):
        detect_layout(delivered(tmp_path, u_data=b"", u_item=b"", u_genre=genres))


def test_no_more_of_a_header_is_read_than_tells(tmp_path):
    """One line, without an end, of a length that the sender chose."""
    endless = b"a" * (64 << 20)
    for files in (
        {"ratings_csv": endless, "movies_csv": b"movieId,title,genres\n"},
        {"u_data": b"", "u_item": b"", "u_genre": endless},
    ):
        folder = delivered(tmp_path / next(iter(files)), **files)
        tracemalloc.start()
        with pytest.raises(JobError, match="expected"):
            detect_layout(folder)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()


def test_names_of_other_files_are_not_told(tmp_path):
    (tmp_path / "hidden").touch()
    with pytest.raises(JobError, match=r"found u\.data\.$") as refused:
        detect_layout(delivered(tmp_path, u_data=b""), source="a folder")
    assert "hidden" not in str(refused.value)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(JobError, match=r"zip: u\.item is missing and u\.genre is missing\. Expec"):
        detect_layout(delivered(tmp_path, u_data=b""), source="zip")
