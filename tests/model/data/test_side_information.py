"""What a release says of movies and users, as features."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.side_information import features

MOVIES = pa.table(
    {
        "movie_id": [10, 11, 12, 13, 99],
        "genres": [["War", "Drama"], ["Drama"], None, ["War"], ["Rare"]],
        "year": pa.array([1990, 1994, 1995, None, 1990]),
    }
)


@pytest.fixture
def table(tmp_path):
    pq.write_table(MOVIES, tmp_path / "movies.parquet")
    return str(tmp_path / "movies.parquet")


def test_genres_and_years_of_the_movies_that_are_asked_for(table):
    # Movie 14 is not described, and 99 not asked for: nobody else is of its genre.
    ids = np.array([10, 11, 12, 13, 14])
    half = 0.5**0.5
    drama_and_war = [[half, half], [1, 0], [0, 0], [0, 1], [0, 0]]
    np.testing.assert_allclose(features(table, "movie", ids, ["genres"]), drama_and_war, atol=1e-6)
    # Of the five years from 1995 on there is one movie alone.
    years = [[1], [1], [0], [0], [0]]
    found = features(table, "movie", ids, ["genres", "year"])
    np.testing.assert_allclose(found, np.hstack([drama_and_war, years]), atol=1e-6)


def test_a_release_that_says_nothing_gives_no_features(tmp_path):
    users = pa.table({"user_id": [1, 2], "age": pa.nulls(2, pa.int32())})
    pq.write_table(users, tmp_path / "users.parquet")
    found = features(str(tmp_path / "users.parquet"), "user", np.array([1, 2]), ["age"])
    assert found.shape == (2, 0)


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none cannot be read"):
        features(str(tmp_path / "none"), "user", np.array([1]), ["age"])
