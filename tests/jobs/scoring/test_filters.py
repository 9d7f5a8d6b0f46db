"""Filters, on a handful of movies."""

import duckdb
import numpy as np
import pytest

from jobs.engines.duck import columns_in_sql
from jobs.runs import schemas
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.scoring.filters import allowed, trained_movies
from tests.model.examples import factors

MOVIES = """
    (10, 'A', 1990, ['Comedy', 'Drama'], null), (11, 'B', 1995, ['Drama'], null),
    (12, 'C', 2000, ['Horror'], 'B00X'), (13, 'D', null, ['Comedy'], '13'),
    (14, 'E', 2005, [], null)
"""
# Movie 10 has three ratings, 11 two, 12 one.
RATINGS = [(1, 10), (2, 10), (3, 10), (1, 11), (2, 11), (1, 12)]


def applied(*settings, movies=MOVIES):
    conf = load_configuration([f"score.{setting}" for setting in settings])
    with duckdb.connect() as tables:
        for name, ddl in (("movies", schemas.MOVIES), ("ratings", schemas.RATINGS)):
            tables.execute(f"create table {name} ({columns_in_sql(ddl)})")
        tables.execute(f"insert into movies values {movies}")
        rows = ", ".join(f"({user}, {movie}, 3, null, 'test')" for user, movie in RATINGS)
        tables.execute(f"insert into ratings values {rows}")
        return allowed(tables, conf.score, "ml-1m")


@pytest.mark.parametrize(
    ("settings", "left", "removed"),
    [
        ([], [10, 11, 12, 13, 14], {}),
        (["genres_in=[Comedy, Horror]"], [10, 12, 13], {"genres_in": 2}),
        (["genres_out=[Drama]"], [12, 13, 14], {"genres_out": 2}),
        # Nobody knows when movie 13 was released.
        (["year_from=1995"], [11, 12, 14], {"year_from": 2}),
        (["year_to=1995"], [10, 11], {"year_to": 3}),
        (["year_from=1995", "year_to=1995"], [11], {"year_from": 2, "year_to": 2}),
        (["min_ratings=2"], [10, 11], {"min_ratings": 3}),
        (["block_list=[10, 14]"], [11, 12, 13], {"block_list": 2}),
        (["block_list=[B00X, 13]"], [10, 11, 14], {"block_list": 2}),
    ],
)
def test_what_each_filter_takes_away(settings, left, removed):
    found = applied(*settings)
    assert (found.movie_ids.tolist(), found.catalogue, found.removed) == (left, 5, removed)


def test_a_movie_counts_for_the_first_filter_that_takes_it_away():
    counts = "genres_in takes away 3, genres_out takes away 0, year_to takes away 1, block_list"
    with pytest.raises(JobError, match=f"leave none of the 5 movies .*: {counts} takes away 1"):
        applied(
            *("year_to=1999", "block_list=[10, 11]", "genres_out=[Horror]", "genres_in=[Comedy]")
        )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "genres_in=[Comedy, Western]",
            "genres_in: release ml-1m has no genre Western. Its genres: Comedy, Drama, Horror",
        ),
        ("genres_out=[drama]", "genres_out: release ml-1m has no genre drama"),
        ("block_list=[10, 99, 98]", "block_list: release ml-1m has no movie 98, 99"),
        ("genres_in=Comedy", "genres_in: found 'Comedy'. Input should be a valid list"),
        ("block_list=[0]", "block_list"),
        ("damping=-1", "damping: found -1. Input should be greater than or equal to 0"),
        ("mode=some", "mode: found 'some'"),
    ],
)
def test_what_cannot_be_meant_is_refused(setting, sentence):
    with pytest.raises(JobError) as error:
        applied(setting)
    assert sentence in str(error.value)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(JobError, match="Drama stands in both genres_in and genres_out"):
        applied("genres_in=[Drama]", "genres_out=[Drama, Horror]")
    with pytest.raises(JobError, match="no year lies from 2000 to 1999"):
        applied("year_from=2000", "year_to=1999")


def test_lists_need_something_to_be_chosen_from():
    with pytest.raises(JobError, match=r"top_k=all leaves nothing to .* repeat_after=2 and genre_"):
        applied("top_k=all", "repeat_after=2", "genre_cap=3")
    with pytest.raises(JobError, match=r"diversity=0\.6 and calibration=0\.4 leave nothing"):
        applied("diversity=0.6", "calibration=0.4")
    with pytest.raises(JobError, match=r"score\.diversity: .* release ml-1m has none"):
        applied("diversity=0.1", movies="(10, 'A', 1990, [], null), (11, 'B', 1995, null, null)")


def test_new_movies_are_those_that_the_model_has_not_learned():
    model = factors([[1]], [[1]] * 3, movie_trained_M=np.array([True, False, True]))  # 10, 11, 12
    assert trained_movies(model, np.array([10, 11, 12, 13], np.int32)).tolist() == [10, 12]
