"""Columns of ratings by row number, as etl writes them."""

COLUMNS = ["user_idx", "movie_idx", "rating"]
# With the time of each: seconds since 1970, -1 where it is unknown.
DATED = [*COLUMNS, "rated_at"]
