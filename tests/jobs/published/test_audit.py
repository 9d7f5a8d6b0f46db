"""Each check of the audit finds what it is there for, and passes what is right."""

from dataclasses import replace
from datetime import date

import duckdb
import numpy as np
import pytest

from jobs.published.audit import ToPublish, audit
from jobs.runs import schemas
from jobs.runs.errors import JobError
from tests.jobs.examples import add_table

DS = date(2026, 1, 2)


def row(user_id, rank, movie_id, predicted=4.0, source="model", **changes):
    others = {"ds": DS, "title": "A", "version": "1", "score": 4.0, "order": "2", "sd": None}
    others |= {"because": None, "share": None, "variant": "champion"} | changes
    ds, title, version, *last, variant = others.values()
    made = (predicted, source, version, "run")
    return (ds, user_id, rank, movie_id, title, *made, *last, None, None, None, variant)


# Four movies can be scored, 15 is filtered out; user 1 has rated movie 14, user 2 all but movie 13
# and the one that cannot be scored. User 3 has a list: 14, which is rated, 12, and 15.
GOOD = [row(1, 1, 11, 4.5, score=5.5), row(1, 2, 12, sd=0.5), row(2, 1, 13, source="popular")]
GOOD += [row(3, 1, 12, because=14, share=1.0)]
RATED = [(1, 14), (2, 11), (2, 12), (2, 14), (2, 15), (3, 14)]
LISTED = [(3, 12), (3, 14), (3, 15)]
GENRES = {11: ["Drama", "War"], 12: ["Drama"], 13: ["War"], 14: [], 15: ["Drama"]}
NO_NAMES: dict[int, str] = {}


# Of new movies 16 and 17 each list has one, if it may; user 2 has rated 16, and user 3's has none.
WITH_NEW = [
    *[GOOD[0], row(1, 2, 17, source="content"), GOOD[2], row(2, 2, 17, source="content", sd=1)],
    GOOD[3],
]


def published(
    recommendations, users=(1, 2, 3), listed=LISTED, shown=(), names=NO_NAMES
) -> ToPublish:
    tables = duckdb.connect()
    rows = {
        "recommendations": (schemas.RECOMMENDATIONS, recommendations),
        "ratings": (schemas.RATINGS, [(*pair, 3.0, None, "train") for pair in RATED]),
        "users": (
            schemas.USERS,
            [(user, None, None, None, None, names.get(user)) for user in users],
        ),
        "candidates": (schemas.CANDIDATES, listed),
        "shown": (schemas.CANDIDATES, shown),
        "movies": (schemas.MOVIES, [(m, "A", None, of, names.get(m)) for m, of in GENRES.items()]),
    }
    for name, (ddl, of_table) in rows.items():
        add_table(tables, name, ddl, of_table)
    movie_ids = np.array([11, 12, 13, 14], np.int32)
    return ToPublish(
        tables, DS, 2, movie_ids, rating_range=(1.0, 5.0), model_version="1", order_version="2"
    )


def test_what_is_right_passes():
    assert len(audit(published(GOOD))) == 19
    # Without lists, user 3 may have two of the three movies that are left.
    with pytest.raises(JobError, match=r"every user has the rows.*user_id=3, rows=1"):
        audit(published(GOOD, listed=[]))
    everything = [*GOOD, row(1, 3, 13, score=3.5)]
    assert audit(replace(published(everything), top_k=None))


def with_new(recommendations, **changes) -> ToPublish:
    data = published(recommendations, **changes)
    data.tables.execute("insert into ratings values (2, 16, 3, null, 'train')")
    return replace(data, new_movies=1, new_ids=np.array([16, 17], np.int32))


@pytest.mark.parametrize(
    ("wrong", "failed"),
    [
        ({}, None),
        ({1: GOOD[1]}, "list has the new movies.*user_id=1, rows=2.*new_rows=0, new_left=1"),
        ({0: row(1, 1, 16, source="content")}, "list has the new movies.*new_rows=2, new_left=1"),
        ({3: None}, "every user has the rows.*user_id=2, rows=1"),
        ({3: row(2, 2, 16, source="content")}, "was rated by the user.*movie_id=16"),
        ({3: row(2, 2, 17)}, "rows of new movies say so.*movie_id=17"),
        ({0: row(1, 1, 11, source="content")}, "rows of new movies say so.*movie_id=11"),
        ({1: row(1, 2, 18, source="content")}, "list has the new movies.*user_id=1"),
        ({4: row(3, 1, 17, source="content")}, "list has the new movies.*user_id=3"),
        (
            {1: row(1, 2, 17, source="content", because=14, share=0.5)},
            "reasons are movies.*source=content",
        ),
    ],
)
def test_new_movies_have_their_places_and_say_so(wrong, failed):
    rows = [row for row in (dict(enumerate(WITH_NEW)) | wrong).values() if row]
    if failed is None:
        assert audit(with_new(rows))
        # A list of new movies has as many of them as others have.
        listed = [(3, 12), (3, 16), (3, 17)]
        assert audit(with_new([*rows, row(3, 2, 16, source="content")], listed=listed))
        return
    with pytest.raises(JobError, match=f"nothing was published: .*{failed}"):
        audit(with_new(rows))


def test_where_there_are_no_ratings_none_is_predicted():
    ones = [row(1, 1, 11, None), row(1, 2, 12, None), row(2, 1, 13, None), row(3, 1, 12, None)]
    assert audit(replace(published(ones), implicit=True))
    with pytest.raises(JobError, match=r"on the scale.*predicted_rating=4\.5"):
        audit(replace(published([row(1, 1, 11, 4.5), *ones[1:]]), implicit=True))


@pytest.mark.parametrize(
    ("wrong", "failed"),
    [
        ({2: row(2, 1, 12)}, "no recommended movie was rated.*movie_id=12"),
        ({2: row(2, 1, 13, float("nan"))}, "no value is missing.*nan"),
        ({2: row(2, 1, 13, title=None)}, "no value is missing.*title=None"),
        ({2: row(2, 1, 13, order=None)}, "says what ordered it.*user_id=2"),
        ({2: row(2, 1, 13, version="2")}, "says what predicted it.*user_id=2"),
        ({2: row(2, 1, 13, variant="challenger")}, "says which variant it is.*user_id=2"),
        ({2: row(2, 1, 13, score=None)}, "no value is missing.*ranking_score=None"),
        ({2: row(2, 1, 13, score=float("nan"))}, "no value is missing.*ranking_score=nan"),
        ({2: None}, "every user has the rows.*user_id=2, rows=0"),
        ({1: None}, "every user has the rows.*user_id=1, rows=1"),
        ({4: row(1, 3, 13)}, "every user has the rows.*user_id=1, rows=3"),
        ({3: None}, "every user has the rows.*user_id=3, rows=0"),
        ({4: row(3, 2, 15)}, "every user has the rows.*user_id=3, rows=2"),
        ({4: row(4, 1, 11)}, "every user is known.*user_id=4"),
        ({1: row(1, 3, 12)}, "ranks run from 1.*user_id=1, first=1, last=3"),
        ({1: row(1, 2, 11)}, "ranks run from 1.*movies=1"),
        ({1: row(1, 2, 12, score=5.75)}, "higher scores.*rank=2"),
        ({2: row(2, 1, 13, 5.5)}, "on the scale.*5.5"),
        ({2: row(2, 1, 13, None)}, "on the scale.*predicted_rating=None"),
        ({2: row(2, 1, 13, source="guess")}, "on the scale.*guess"),
        ({2: row(2, 1, 13, sd=0.0)}, "deviations of ratings are above 0.*rating_sd=0"),
        ({2: row(2, 1, 13, sd=float("nan"))}, "deviations of ratings are above 0.*nan"),
        ({0: row(1, 1, 11, because=12, share=0.5)}, "reasons are movies.*because_movie_id=12"),
        ({0: row(1, 1, 11, because=14)}, "reasons are movies.*because_share=None"),
        ({0: row(1, 1, 11, share=0.5)}, "reasons are movies.*because_movie_id=None"),
        ({0: row(1, 1, 11, because=14, share=1.5)}, "reasons are movies.*because_share=1.5"),
        ({0: row(1, 1, 11, because=14, share=float("nan"))}, "reasons are movies.*nan"),
        ({2: row(2, 1, 13, source="popular", because=11, share=1)}, "reasons are movies.*popular"),
        ({2: row(2, 1, 13, ds=date(2026, 1, 1))}, "run's date"),
        ({1: row(1, 2, 15)}, "filtered out, blocked or new.*movie_id=15"),
        ({3: row(3, 1, 13)}, "movies of their list.*user_id=3, rank=1, movie_id=13"),
    ],
)
def test_what_is_wrong_is_found_with_an_example(wrong, failed):
    """`wrong` takes the place of rows of GOOD, or is added to them; None takes one away."""
    rows = [row for row in (dict(enumerate(GOOD)) | wrong).values() if row]
    with pytest.raises(JobError, match=f"nothing was published: .*{failed}"):
        audit(published(rows))


def test_what_was_shown_of_late_does_not_come_again():
    # Of what user 1 may have, 12 is not left; user 3's list has nothing else.
    late = [(1, 12), (1, 15), (1, 14), (3, 12)]
    rows = [row(1, 1, 11), row(1, 2, 13), GOOD[2]]
    assert audit(published(rows, shown=late))
    with pytest.raises(JobError, match=r"lists of the nights before.*user_id=1, rank=2"):
        audit(published([row(1, 1, 11), row(1, 2, 12), GOOD[2]], shown=late))
    with pytest.raises(JobError, match=r"every user has the rows.*user_id=1, rows=1"):
        audit(published([row(1, 1, 11), GOOD[2]], shown=late))
    with pytest.raises(JobError, match=r"every user has the rows.*user_id=3, rows=1"):
        audit(published([*rows, GOOD[3]], shown=late))


def test_lists_that_are_chosen_need_not_fall_in_score():
    rising = published([row(1, 1, 11), row(1, 2, 12, score=4.5), *GOOD[2:]])
    with pytest.raises(JobError, match="higher scores rank higher"):
        audit(rising)
    assert audit(replace(rising, by_score=False))


@pytest.mark.parametrize(
    ("cap", "rows", "failed"),
    [
        (2, GOOD, None),
        # After 11, a Drama and a War, neither 12 nor 13 fits, and 14 has been rated.
        (1, [row(1, 1, 11), *GOOD[2:]], None),
        (1, GOOD, r"more movies of a genre.*user_id=1, genre=Drama, rows=2"),
        (
            2,
            [row(1, 1, 11), *GOOD[2:]],
            r"short only where no movie fits.*user_id=1, movie_id=1[23]",
        ),
        (1, [row(1, 1, 12), *GOOD[2:]], r"short only where no movie fits.*user_id=1, movie_id=13"),
        (1, GOOD[2:], r"every user has the rows.*user_id=1, rows=0"),
    ],
)
def test_movies_of_a_genre_are_no_more_than_the_cap(cap, rows, failed):
    capped = replace(published(rows), genre_cap=cap)
    if failed is None:
        assert audit(capped)
        return
    with pytest.raises(JobError, match=failed):
        audit(capped)


def test_users_and_movies_are_called_as_the_source_calls_them():
    names = {user: f"u-{user}" for user in (1, 2, 3)} | {
        movie: f"m-{movie}" for movie in range(11, 16)
    }
    rows = [(*one[:14], names[one[1]], names[one[3]], names.get(one[12]), one[-1]) for one in GOOD]
    assert audit(published(rows, names=names))
    called = "users and movies are called as the source calls them"
    for place in (14, 15, 16):
        wrong = list(rows[3])
        wrong[place] = "u-2"
        with pytest.raises(JobError, match=rf"{called}\. Example: user_id=3, movie_id=12"):
            audit(published([*rows[:3], tuple(wrong)], names=names))
    with pytest.raises(JobError, match=called):
        audit(published(rows))
    with pytest.raises(JobError, match=called):
        audit(published(GOOD, names=names))
