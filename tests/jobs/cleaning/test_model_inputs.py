"""Features of movies and histories of users, worked out by hand."""

from jobs.cleaning.model_inputs import histories, rated_movies, with_index
from jobs.cleaning.movies import movie_features
from jobs.runs.schemas import HISTORIES, MOVIE_FEATURES, RATED, columns_of


def columns(table) -> dict[str, str]:
    return dict(table.dtypes)


def test_genres_are_multi_hot_in_alphabetical_order(spark):
    movies = spark.sql(
        "select * from values (10, array('War', 'Drama'), 1995), (7, array(), null), "
        "(30, array('Comedy'), 2001) as t(movie_id, genres, year)"
    )
    # Comedy, Drama, War
    features = movie_features(with_index(movies, "movie"))
    assert columns(features) == columns_of(MOVIE_FEATURES)
    assert [tuple(row) for row in features.collect()] == [
        (0, [0.0, 0.0, 0.0], None),
        (1, [0.0, 1.0, 1.0], 1995),
        (2, [1.0, 0.0, 0.0], 2001),
    ]


def test_histories_run_from_old_to_new_and_end_with_what_has_no_time(spark):
    ratings = spark.sql(
        "select user_id, movie_idx, float(rating) rating, split, timestamp_seconds(at) rated_at "
        "from values (7, 5, 3, 'train', 70), (7, 9, 4, 'test', null), (7, 2, 5, 'train', null), "
        "(7, 4, 1, 'validation', 70), (7, 8, 2, 'train', 9), (5, 1, 5, 'train', null) "
        "as t(user_id, movie_idx, rating, split, at)"
    ).repartition(3)
    users = spark.sql("select * from values (7, 1), (5, 0) as t(user_id, user_idx)")
    rows = histories(ratings, users).orderBy("user_idx")
    assert columns(rows) == columns_of(HISTORIES)
    assert [(row.user_idx, row.movie_idxs, row.ratings) for row in rows.collect()] == [
        (0, [1], [5.0]),
        (1, [8, 4, 5, 2, 9], [2.0, 1.0, 3.0, 5.0, 4.0]),
    ]
    row = rows.collect()[1]
    assert row.splits == ["train", "validation", "train", "train", "test"]
    assert [at and at.second + 60 * at.minute for at in row.times] == [9, 70, 70, None, None]


def test_every_user_has_a_list_of_rated_movies(spark):
    ratings = spark.sql("select * from values (1, 9), (2, 7), (1, 3) as t(user_id, movie_id)")
    users = spark.sql("select * from values (1, true), (2, true), (5, false) t(user_id, has_rated)")
    rows = rated_movies(ratings.repartition(3), users)
    assert columns(rows) == columns_of(RATED)
    found = [(row.user_id, row.movie_ids) for row in rows.orderBy("user_id").collect()]
    assert found == [(1, [3, 9]), (2, [7]), (5, [])]
