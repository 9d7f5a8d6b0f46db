"""One run from delivery to answers, on a small delivery."""

import pytest


def test_every_user_gets_unrated_movies_of_their_taste(published):
    """Even users like even movies: what is recommended first must agree."""
    assert published.sql(
        "select count(*), count(distinct user_id) from recommendations where ds = '2026-01-02'"
    ) == [(120 * 20, 120)]
    assert published.sql(
        "select count(*) from recommendations join ratings using (user_id, movie_id)"
    ) == [(0,)]
    [(agree,)] = published.sql(
        "select avg((user_id % 2 = movie_id % 2)::int) from recommendations where rank <= 10 "
        "and ds = '2026-01-02'"
    )
    assert agree > 0.8


def test_the_run_says_what_was_done(published):
    [row] = published.sql(
        "select release, users, movies, quarantined, promoted, rows_published from runs "
        "where run_id = 'first'"
    )
    assert row == ("ml-1m", 120, 60, 2, True, 2400)
    reasons = published.sql(
        "select file, reason from quarantine where run_id = 'first' order by line"
    )
    assert [reason for _, reason in reasons] == [
        "expected 4 fields, found 3",
        "movie_id 69 is not in movies.dat",
    ]


def test_questions_are_answered(published):
    shown = published.run("recommend", "--user", "7")
    assert shown.returncode == 0, shown.stderr
    assert "Movie" in shown.stdout
    assert "Drama" in shown.stdout
    counted = published.run("sql", "select count(*) as n from movies")
    assert "60" in counted.stdout
    one = published.run("predict", "--user", "7", "--movie", "3")
    assert one.returncode == 0, one.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["recommend", "--user", "999"], "999"),
        (["predict", "--user", "7", "--movie", "999"], "999"),
        (["sql", "select nothing from nowhere"], "nowhere"),
    ],
)
def test_questions_without_an_answer_say_so(published, arguments, sentence):
    refused = published.run(*arguments)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
