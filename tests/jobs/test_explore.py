"""The exploration of a few clean rows: what is found, said, escaped and left out."""

import re
from datetime import UTC, datetime

import pytest

from jobs.explore import explore
from jobs.runs import schemas
from jobs.runs.errors import JobError
from tests.jobs.examples import small_run, write

AT = datetime(2001, 1, 31, tzinfo=UTC)
MOVIES = [
    (10, "<b>Alien</b> (1979)", 1979, ["Horror", "Sci-Fi"]),
    (11, "Drama & Co (1990)", 1990, ["Drama"]),
    (12, "Unrated ($1 and $2) (2000)", None, ["Cash $ and $"]),  # no formula
    (13, "No Genre (2001)", 2001, []),
]
USERS = [(1, "F", 25, "artist", "1"), (2, "M", 56, "farmer", "2"), (3, "M", 1, None, "3")]
RATINGS = [
    (1, 10, 5.0, AT, "train"),
    (1, 11, 4.0, AT, "train"),
    (2, 10, 2.0, datetime(2001, 3, 5, tzinfo=UTC), "train"),
    (2, 13, 4.0, None, "test"),
]
BAD = [
    ("ratings.dat", 7, "rating: expected 1 to 5 in steps of 1, found '9'", "1::10::9::1"),
    ("ratings.dat", 4, "rating: expected 1 to 5 in steps of 1, found '<i>'", "1::10::<i>::1"),
    ("ratings.dat", 9, "movie_id 99 is not in movies.dat", "1::99::3::1"),
]


def run_with(warehouse, ratings=RATINGS, users=USERS, bad=BAD, movies=MOVIES):
    """A run whose clean tables hold these rows."""
    run = small_run(warehouse)
    write(run.output("ratings"), schemas.RATINGS, {}, ratings)
    write(run.output("movies"), schemas.MOVIES, {}, movies)
    write(run.output("users"), schemas.USERS, {}, users)
    run.output("quarantine").mkdir()
    if bad:
        write(run.output("quarantine"), schemas.QUARANTINE, {"run_id": run.run_id}, bad)
    return run


def page_of(run):
    explore(run)
    return run.output("exploration.html").read_text(encoding="utf-8")


def rows_of(page):
    """The cells of all tables' rows."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]


def test_movies_of_which_the_ids_alone_are_known(tmp_path):
    movies: list[tuple] = [(movie_id, str(movie_id), None, []) for movie_id in (10, 11, 13)]
    page = page_of(run_with(tmp_path, movies=movies))
    assert "No movie has a genre." in page
    assert ["movies", "no genre", "3", "100%"] in rows_of(page)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(run_with(tmp_path_factory.mktemp("warehouse")))


def test_sizes_and_density(page):
    figures = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page)
    # Four ratings; two users and three movies have any: six pairs.
    assert figures == [
        ("ratings", "4"),
        ("users", "3"),
        ("movies", "4"),
        ("mean rating", "3.75"),
        ("density", "66.7%"),
    ]


def test_missing_and_faulty_values(page):
    rows = rows_of(page)
    assert ["ratings", "time missing", "1", "25.0%"] in rows
    assert ["ratings", "movie not in movies", "none", "0%"] in rows
    assert ["movies", "no genre", "1", "25.0%"] in rows
    assert ["movies", "no release year", "1", "25.0%"] in rows
    assert ["users", "occupation missing", "1", "33.3%"] in rows
    assert "No missing or faulty" not in page


def test_quarantine_by_reason_with_its_first_line(page):
    rows = rows_of(page)
    example = "ratings.dat, line 4: 1::10::&lt;i&gt;::1"
    assert ["rating: expected 1 to 5 in steps of 1", "2", example] in rows
    assert ["movie_id is not in movies.dat", "1", "ratings.dat, line 9: 1::99::3::1"] in rows
    assert "3 lines of the delivery were set aside" in page


@pytest.mark.parametrize(
    "sentence",
    [
        "4 is the most frequent rating, given 2 times. The mean is 3.75, and 75.0% of ratings",
        "from 2001-01-31 to 2001-03-05; the busiest day, 2001-01-31, has 2 of them, 66.7%",
        "Left out: 1 rating (25.0%) without a time.",
        "3 combinations of 4 single genres; 2 movies (50.0%) have one genre alone",
        "Highest mean rating by gender: women, 4.50; lowest: men, 3.00",
        "Highest mean rating by age: 25–34, 4.50; lowest: 56+, 3.00",
        "Highest mean rating by genre: Drama, 4.00; lowest: Horror, 3.50",
        "The Gini coefficient is 0.38 for movies and 0.33 for users",
        "4 rows: every rating finds its movie and its user. Without a rating: 1 movie (25.0%).",
        "Without any: 1 user (33.3%).",
    ],
)
def test_findings(page, sentence):
    assert sentence in page


def test_the_best_rated_movies_are_damped(page):
    # (2 ratings, mean 3.5), overall 3.75: (7 + 25 * 3.75) / 27
    alien = ["&lt;b&gt;Alien&lt;/b&gt; (1979)", "Horror, Sci-Fi", "2", "3.50", "3.73"]
    assert alien in rows_of(page)


def test_texts_of_the_data_are_escaped(page):
    assert "<b>" not in page
    assert "<i>" not in page
    assert "Drama &amp; Co" in page
    assert "Cash $ and $" in page


def test_the_page_stands_alone(page):
    links = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "url(http" not in page
    assert "<script" not in page
    named = re.findall(r'aria-label="([^"]+)"', page)
    assert len(named) == page.count("<figure") + 1


def test_the_same_data_gives_the_same_page(tmp_path, page):
    assert page_of(run_with(tmp_path)) == page


def test_what_is_not_known_is_left_out(tmp_path):
    blank = [(user, None, None, None, None) for user in (1, 2, 3)]
    untimed = [(user, movie, rating, None, split) for user, movie, rating, _, split in RATINGS]
    page = page_of(run_with(tmp_path, untimed, blank, bad=[]))
    assert "The ratings carry no time, so there is no plot" in page
    assert "Nothing is known of the users" in page
    assert "says nothing about its users but their ids" in page
    assert "gender missing" not in page
    # All three tables have faults or were not looked at.
    assert "No missing or faulty" not in page
    assert "the quarantine is empty" in page


@pytest.mark.parametrize(
    ("last", "busiest"),
    [
        (datetime(2001, 6, 5, tzinfo=UTC), "the busiest week, from 2001-01-29 on,"),
        (datetime(2003, 3, 5, tzinfo=UTC), "the busiest month, 2001-01,"),
        (datetime(2023, 3, 5, tzinfo=UTC), "the busiest year, 2001,"),
    ],
)
def test_times_are_drawn_by_what_suits_their_span(tmp_path, last, busiest):
    ratings = [(1, 10, 5.0, AT, "train"), (2, 10, 5.0, AT, "train"), (1, 11, 5.0, last, "test")]
    assert busiest in page_of(run_with(tmp_path, ratings))


def test_a_run_without_clean_tables(tmp_path):
    with pytest.raises(JobError, match="ratings is missing"):
        explore(small_run(tmp_path))


def test_ages_in_years_are_grouped_by_tens(tmp_path):
    """As in ml-100k; ml-1m gives the lower ends of ranges."""
    users = [(1, "F", 24, "artist", "1"), (2, "M", 53, "farmer", "2"), (3, "M", 29, None, "3")]
    page = page_of(run_with(tmp_path, users=users))
    assert "20–29" in page
    assert "50–59" in page
