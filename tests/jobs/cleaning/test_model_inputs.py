"""What training and scoring read, worked out by hand."""

from jobs.cleaning.model_inputs import rated_movies
from jobs.runs.schemas import RATED, columns_of


def test_every_user_has_a_list_of_rated_movies_in_the_order_of_users(spark):
    ratings = spark.sql("select * from values (1, 9), (4, 7), (1, 3) as t(user_id, movie_id)")
    ratings = ratings.repartitionByRange(2, "user_id")
    rated = "(1, true), (4, true)"
    for users, without in ((rated, []), (f"{rated}, (2, false), (5, false)", [2, 5])):
        everybody = spark.sql(f"select * from values {users} t(user_id, has_rated)")
        rows = rated_movies(ratings, everybody, not without)
        assert dict(rows.dtypes) == columns_of(RATED)
        found = [(row.user_id, row.movie_ids) for row in rows.collect()]
        assert found == sorted([(1, [3, 9]), (4, [7]), *((user, []) for user in without)])
