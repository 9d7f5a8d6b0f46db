"""Each check of similar movies finds what it is there for, and passes what is right."""

from dataclasses import replace
from datetime import date

import duckdb
import numpy as np
import pytest

from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.scoring.similar_check import SimilarToPublish, check_similar
from tests.jobs.examples import add_table
from tests.model.examples import factors

DS = date(2026, 1, 2)
# Scores of movies 10, 11 and 12 are 1, 2 and -1 times the user's number, so that correlations are 1
# and -1; those of 13 are the same for all, and 14 is not of the run's movies.
MODEL = factors([[1], [2], [4]], [[1], [2], [-1], [0], [1]])
# The biases alone know of no movie in which users differ, and so do not count.
OTHER = factors(np.zeros((3, 0)), np.zeros((5, 0)))


def row(movie_id, rank, similar_id, similarity=1.0, **changes):
    others = {"ds": DS, "title": "A", "version": "rating/1 order/3"} | changes
    ds, title, version = others.values()
    return (ds, movie_id, rank, similar_id, title, similarity, version)


# 12 is filtered out.
GOOD = [row(10, 1, 11), row(11, 1, 10), row(12, 1, 10, -1.0), row(12, 2, 11, -1.0)]


def published(rows, names=None) -> SimilarToPublish:
    tables = duckdb.connect()
    movies = [(m, "A", None, None, (names or {}).get(m)) for m in range(10, 14)]
    for name, ddl, cells in (
        ("similar_movies", schemas.SIMILAR_MOVIES, rows),
        ("movies", schemas.MOVIES, movies),
    ):
        add_table(tables, name, ddl, cells)
    return SimilarToPublish(
        tables, DS, 2, np.array([10, 11, 13], np.int32), [MODEL, OTHER], "rating/1 order/3"
    )


def test_what_is_right_passes():
    assert len(check_similar(published(GOOD))) == 10
    assert check_similar(replace(published([]), top=0))
    assert check_similar(replace(published(GOOD[:3]), top=1))


@pytest.mark.parametrize(
    ("wrong", "failed"),
    [
        ({0: row(10, 1, 11, float("nan"))}, "no value of similar movies is missing.*nan"),
        ({0: row(10, 1, 11, title=None)}, "no value of similar movies is missing.*title=None"),
        ({0: row(10, 1, 11, ds=date(2026, 1, 1))}, "the run's date and models"),
        ({0: row(10, 1, 11, version="rating/3")}, "the run's date and models.*rating/3"),
        ({0: row(10, 1, 10)}, "similar to itself"),
        ({0: row(10, 1, 12)}, "filtered out, blocked or new.*similar_id=12"),
        ({4: row(13, 1, 11)}, "that the models know.*movie_id=13"),
        ({0: row(10, 2, 11)}, "ranks of similar movies run from 1.*first=2"),
        ({3: row(12, 2, 10, -1.0)}, "ranks of similar movies run from 1.*movies=1"),
        ({2: row(12, 1, 10, -1.1)}, "more similar movies rank higher.*rank=2"),
        ({0: None}, "as many similar ones.*movie_id=10, rows=0, others=1"),
        ({3: None}, "as many similar ones.*movie_id=12, rows=1, others=2"),
        ({0: row(10, 1, 11, 0.9)}, "correlations of scores.*movie_id=10.*and not 1.0000"),
        ({0: row(10, 1, 13)}, "correlations of scores.*similar_id=13.*not nan"),
    ],
)
def test_what_is_wrong_is_found_with_an_example(wrong, failed):
    """`wrong` takes the place of rows of GOOD, or is added to them; None takes one away."""
    rows = [row for row in (dict(enumerate(GOOD)) | wrong).values() if row]
    with pytest.raises(JobError, match=f"nothing was published: .*{failed}"):
        check_similar(published(rows))


def test_movies_are_called_as_the_source_calls_them():
    names = {10: "B00X", 11: "a b", 12: "c", 13: "d"}
    rows = [(*one, names[one[1]], names[one[3]]) for one in GOOD]
    assert check_similar(published(rows, names))
    for wrong in ((*rows[0][:-1], "B00X"), (*rows[0][:-2], "a b", "a b"), GOOD[0]):
        with pytest.raises(JobError, match=r"called as the source calls them.*similar_id=11"):
            check_similar(published([wrong, *rows[1:]], names))
