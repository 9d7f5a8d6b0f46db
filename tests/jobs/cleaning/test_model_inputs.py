"""What training and scoring read, worked out by hand."""

from jobs.cleaning.model_inputs import rated_movies
from jobs.runs.schemas import RATED, columns_of


def test_every_user_has_a_list_of_rated_movies(spark):
    ratings = spark.sql("select * from values (1, 9), (2, 7), (1, 3) as t(user_id, movie_id)")
    users = spark.sql("select * from values (1, true), (2, true), (5, false) t(user_id, has_rated)")
    rows = rated_movies(ratings.repartition(3), users)
    assert dict(rows.dtypes) == columns_of(RATED)
    found = [(row.user_id, row.movie_ids) for row in rows.orderBy("user_id").collect()]
    assert found == [(1, [3, 9]), (2, [7]), (5, [])]
