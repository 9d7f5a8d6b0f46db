"""Features of movies and histories of users, worked out by hand."""

from jobs.features import genre_names, histories, movie_features
from jobs.schemas import HISTORIES, MOVIE_FEATURES, columns_of


def columns(table) -> dict[str, str]:
    return dict(table.dtypes)


def test_genres_are_multi_hot_in_alphabetical_order(spark):
    movies = spark.sql(
        "select * from values (10, array('War', 'Drama'), 1995), (7, array(), null), "
        "(30, array('Comedy'), 2001) as t(movie_id, genres, year)"
    )
    index = spark.sql("select * from values (7, 0), (10, 1), (30, 2) as t(movie_id, movie_idx)")
    names = genre_names(movies)
    assert names == ["Comedy", "Drama", "War"]
    features = movie_features(movies, index, names)
    assert columns(features) == columns_of(MOVIE_FEATURES)
    assert [tuple(row) for row in features.collect()] == [
        (0, [0.0, 0.0, 0.0], None),
        (1, [0.0, 1.0, 1.0], 1995),
        (2, [1.0, 0.0, 0.0], 2001),
    ]


def test_histories_run_from_old_to_new_and_end_with_what_has_no_time(spark):
    indexed = spark.sql(
        "select user_idx, movie_idx, float(rating) rating, split, timestamp_seconds(at) rated_at "
        "from values (1, 5, 3, 'train', 70), (1, 9, 4, 'test', null), (1, 2, 5, 'train', null), "
        "(1, 4, 1, 'validation', 70), (1, 8, 2, 'train', 9), (0, 1, 5, 'train', null) "
        "as t(user_idx, movie_idx, rating, split, at)"
    ).repartition(3)
    rows = histories(indexed)
    assert columns(rows) == columns_of(HISTORIES)
    assert [(row.user_idx, row.movie_idxs, row.ratings) for row in rows.collect()] == [
        (0, [1], [5.0]),
        (1, [8, 4, 5, 2, 9], [2.0, 1.0, 3.0, 5.0, 4.0]),
    ]
    row = rows.collect()[1]
    assert row.splits == ["train", "validation", "train", "train", "test"]
    assert [at and at.second + 60 * at.minute for at in row.times] == [9, 70, 70, None, None]
