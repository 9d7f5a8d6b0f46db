"""Movies of each layout with its oddities, in a few lines."""

from pathlib import Path

from jobs.cleaning.lines import read_lines
from jobs.cleaning.movies import parse_movies
from jobs.release.detection import detect_layout
from tests.jobs.examples import delivered


def movies_of(spark, raw: Path) -> list[tuple]:
    """movie_id, title, year and genres of the movies file, and the reason where there is one."""
    layout = detect_layout(raw)
    assert layout.movies
    lines = read_lines(spark, raw, layout.movies, layout.encoding)
    rows = parse_movies(lines, layout).orderBy("block", "position").collect()
    return [row.reason or (row.movie_id, row.title, row.year, row.genres) for row in rows]


def test_100k_has_flags_for_genres_and_a_date_beside_the_title(spark, tmp_path):
    raw = delivered(
        tmp_path,
        u_genre=b"unknown|0\nAction|1\nDrama|2\n\n",
        u_data=b"",
        u_item="1|Misérables, Les (1995) |01-Jan-1996||http://a|0|0|1\n"
        "267|unknown||||1|0|0\n"
        "3|Only a Date|16-Feb-1997||http://b|0|1|1\n"
        "4|Land Before Time III (1995) (V)|||http://c|0|2|0\n"
        "5|A Flag Too Few (1995)|||http://c|0|0\n".encode("latin-1"),
    )
    assert movies_of(spark, raw) == [
        (1, "Misérables, Les (1995)", 1995, ["Drama"]),
        (267, "unknown", None, []),
        (3, "Only a Date", 1997, ["Action", "Drama"]),
        "genres: expected 0 or 1 for each genre",
        "expected 8 fields, found 7",
    ]


def test_control_characters_are_no_part_of_titles_and_genres(spark, tmp_path):
    """Raw or as XML writes them; what is left of a title that was nothing else is no title."""
    raw = delivered(
        tmp_path,
        ratings_dat=b"",
        movies_dat=b"1::&#0;One &#27;]0;PWNED&#7;&#x1b;[31m(1995)::Dra\0ma|\x1b[2mWar|War\n"
        b"2::Two\x00\x1b (\x9b1995)\x7f::Drama\n"
        b"3::&#27;\x07::Drama\n"
        b"4::Four\tand&#10;a half (1996)::Drama\n",
    )
    assert movies_of(spark, raw) == [
        (1, "One ]0;PWNED[31m(1995)", 1995, ["Drama", "[2mWar", "War"]),
        (2, "Two (1995)", 1995, ["Drama"]),
        "title: expected a title, found ''",
        (4, "Four and a half (1996)", 1996, ["Drama"]),
    ]


def test_10m_is_utf_8_and_has_blank_lines(spark, tmp_path):
    raw = delivered(
        tmp_path,
        ratings_dat=b"",
        movies_dat="\ufeff1::Caf\u00e9 (1995) (1996)::Drama|IMAX|Drama\n"
        "2::Cafe\u0301 Two (2007-2009)::(no genres listed)\n"
        "\n"
        "3::No Year::Sci-Fi\n\n".encode(),
    )
    assert movies_of(spark, raw) == [
        (1, "Café (1995) (1996)", 1996, ["Drama", "IMAX"]),
        (2, "Café Two (2007-2009)", 2007, []),  # the accent was a character of its own
        "expected 3 fields, found 1",
        (3, "No Year", None, ["Sci-Fi"]),
    ]


def test_csv_with_a_mark_at_its_start(spark, tmp_path):
    raw = delivered(
        tmp_path,
        ratings_csv=b"userId,movieId,rating,timestamp\n",
        movies_csv="\ufeffmovieId,title,genres\r\n"
        '31,"Amélie, or ""A"" Life (2001) ",Comedy|Romance\r\n'
        "32,Sherlock (2010– ),\r\n"
        '33,"Mona (1983))",(no genres listed)\r\n'
        "34,\u00a0And God (Et Dieu&#8230;Créa) (1956)\u00a0,Drama\r\n".encode(),
    )
    assert movies_of(spark, raw) == [
        (31, 'Amélie, or "A" Life (2001)', 2001, ["Comedy", "Romance"]),
        (32, "Sherlock (2010– )", 2010, []),
        (33, "Mona (1983))", 1983, []),
        (34, "And God (Et Dieu…Créa) (1956)", 1956, ["Drama"]),
    ]
