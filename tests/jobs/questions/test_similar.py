"""The movies most like a movie, from a small published warehouse."""

import pytest

from jobs.questions import similar
from jobs.runs.errors import JobError
from tests.jobs.questions.conftest import cells, publish


@pytest.fixture(scope="module")
def tables(tables):
    """Movie 10 has similar ones on one of the two dates."""
    found = (11, "[Rec] (2007)", 0.914), (12, "Older name", 0.5)
    rows = [(10, rank, *each, "rating/1 order/3") for rank, each in enumerate(found, 1)]
    publish(tables, "similar_movies", rows, {"ds": "2026-11-23"})
    return tables


def test_the_most_similar_first_with_titles_and_genres(ask):
    lines = ask(similar.main, "--movie", "10").splitlines()
    assert lines[0].strip() == "Movies like Alien (1979)"
    assert lines[-1] == "As of 2026-11-23, by version rating/1 order/3."
    assert ["1", "11", "[Rec] (2007)", "Horror", "0.91"] in map(cells, lines)
    assert ["2", "12", "Older name", "0.50"] in map(cells, lines)
    assert "Older name" not in ask(similar.main, "--movie", "10", "--top", "1")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--movie 99", "no movie 99 in release ml-1m: .* run from 10 to 12"),
        ("--movie 11", r"\[Rec\] \(2007\) has no similar movies of 2026-11-23"),
        ("--movie 10 --ds 2026-11-22", "for 2026-11-22: .* Dates that have some: 2026-11-23"),
    ],
)
def test_errors_say_what_there_is(ask, argv, message):
    with pytest.raises(JobError, match=message):
        ask(similar.main, *argv.split(" "))
