"""Each check of the audit finds what it is there for, and passes what is right."""

from datetime import date

import pytest

from jobs import schemas
from jobs.audit import Published, audit
from jobs.errors import JobError

DS = date(2026, 1, 2)


def row(user_id, rank, movie_id, predicted=4.0, source="model", ds=DS, title="A"):
    return (ds, user_id, rank, movie_id, title, predicted, source, "1", "run")


# Four movies can be scored; user 1 has rated movie 14, user 2 all but movie 13.
GOOD = [row(1, 1, 11, 4.5), row(1, 2, 12), row(2, 1, 13, source="popular")]
RATED = [(1, 14), (2, 11), (2, 12), (2, 14)]


def published(spark, recommendations, users=(1, 2)) -> Published:
    ratings = [(user, movie, 3.0, None, "train") for user, movie in RATED]
    return Published(
        recommendations=spark.createDataFrame(recommendations, schemas.RECOMMENDATIONS),
        ratings=spark.createDataFrame(ratings, schemas.RATINGS),
        users=spark.createDataFrame(
            [(user, None, None, None, None) for user in users], schemas.USERS
        ),
        ds=DS,
        top_k=2,
        movies_scored=4,
        rating_range=(1.0, 5.0),
    )


def test_what_is_right_passes(spark):
    assert len(audit(published(spark, GOOD))) == 8


@pytest.mark.parametrize(
    ("rows", "users", "failed"),
    [
        ([*GOOD[:2], row(2, 1, 12)], (1, 2), "no recommended movie was rated.*movie_id=12"),
        ([*GOOD[:2], row(2, 1, 13, float("nan"))], (1, 2), "no value is missing.*nan"),
        ([*GOOD[:2], row(2, 1, 13, title=None)], (1, 2), "no value is missing.*title=None"),
        (GOOD[:2], (1, 2), "every user has the rows.*user_id=2, rows=0"),
        ([GOOD[0], GOOD[2]], (1, 2), "every user has the rows.*user_id=1, rows=1"),
        ([*GOOD, row(1, 3, 13)], (1, 2), "every user has the rows.*user_id=1, rows=3"),
        (GOOD, (1,), "every user is known.*user_id=2"),
        ([GOOD[0], row(1, 3, 12), GOOD[2]], (1, 2), "ranks run from 1.*user_id=1, first=1, last=3"),
        ([GOOD[0], row(1, 2, 11), GOOD[2]], (1, 2), "ranks run from 1.*movies=1"),
        ([GOOD[0], row(1, 2, 12, 4.75), GOOD[2]], (1, 2), "better predictions.*rank=2"),
        ([*GOOD[:2], row(2, 1, 13, 5.5)], (1, 2), "on the scale.*5.5"),
        ([*GOOD[:2], row(2, 1, 13, source="guess")], (1, 2), "on the scale.*guess"),
        ([*GOOD[:2], row(2, 1, 13, ds=date(2026, 1, 1))], (1, 2), "run's date"),
    ],
)
def test_what_is_wrong_is_found_with_an_example(spark, rows, users, failed):
    with pytest.raises(JobError, match=f"nothing was published: .*{failed}"):
        audit(published(spark, rows, users))
