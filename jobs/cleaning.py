"""Lines of a delivery become clean rows, or get a reason why they cannot; none is lost."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.layouts import Layout, Table
from jobs.lines import with_fields
from jobs.occupations import OCCUPATIONS
from jobs.titles import clean_title, flagged_genres, named_genres, year_of


def first_reason(*reasons: Column) -> Column:
    """The first reason that applies; the one already found comes first."""
    return F.coalesce(F.col("reason"), *reasons)


def digits(name: str, kind: str) -> Column:
    """A field of one to ten digits as a number; null where it is anything else."""
    value = F.col(name).try_cast(kind)
    # A field that says the number as we would needs no pattern.
    plain = (value.cast("string") == F.col(name)) & value.between(0, 9_999_999_999)
    return F.when(plain | F.col(name).rlike("^[0-9]{1,10}$"), value)


def not_an_id(name: str, number: Column) -> Column:
    """The reason why a field is no id."""
    bad = F.coalesce(number < 1, F.lit(True))
    return F.when(bad, unusable(name, "a whole number from 1 to 2147483647"))


def unusable(name: str, expected: str) -> Column:
    found = F.coalesce(F.concat(F.lit("'"), F.col(name), F.lit("'")), F.lit("nothing"))
    return F.concat(F.lit(f"{name}: expected {expected}, found "), found)


def parse_ratings(lines: DataFrame, layout: Layout) -> DataFrame:
    """user_id, movie_id, rating, timestamp (seconds), and `reason`, beside the line itself."""
    low, high = layout.rating_range
    steps = [layout.rating_step * n for n in range(1, round(high / layout.rating_step) + 1)]
    usual = F.col("rating").isin([f"{step:g}" for step in steps] + [f"{step}" for step in steps])
    number = F.when(
        usual | F.col("rating").rlike(r"^[0-9]+(\.[0-9]+)?$"), F.col("rating").try_cast("double")
    )
    # Numbers are columns before anything asks for them, so that each is read once.
    rows = with_fields(lines, layout.ratings).select(
        "*",
        digits("user_id", "int").alias("user"),
        digits("movie_id", "int").alias("movie"),
        number.alias("number"),
        digits("timestamp", "bigint").alias("seconds"),
    )
    on_scale = F.col("number").between(low, high) & (F.col("number") % layout.rating_step == 0)
    scale = f"{low:g} to {high:g} in steps of {layout.rating_step:g}"
    reason = first_reason(
        not_an_id("user_id", F.col("user")),
        not_an_id("movie_id", F.col("movie")),
        F.when(~F.coalesce(on_scale, F.lit(False)), unusable("rating", scale)),
        # Ten digits end in the year 2286; what is longer is no time in seconds.
        F.when(F.col("seconds").isNull(), unusable("timestamp", "seconds since 1970")),
    )
    return rows.select(
        "content",
        "block",
        "position",
        reason.alias("reason"),
        F.col("user").alias("user_id"),
        F.col("movie").alias("movie_id"),
        F.col("number").cast("float").alias("rating"),
        F.col("seconds").alias("timestamp"),
    )


def parse_movies(lines: DataFrame, layout: Layout) -> DataFrame:
    """movie_id, title, year, genres, and `reason`. Of a repeated id, the first line counts."""
    movie_id = digits("movie_id", "int")
    title = clean_title("title")
    no_title = F.when(
        F.coalesce(title == "", F.lit(True)), F.lit("title: expected a title, found ''")
    )
    if layout.genres:
        genres, bad_genres = flagged_genres(layout.genres)
        # As in 01-Jan-1995.
        released = F.regexp_extract("release_date", r"-(\d{4})$", 1).try_cast("int")
        year = F.coalesce(year_of(title), released)
    else:
        genres, bad_genres, year = named_genres("genres"), F.lit(None), year_of(title)
    movies = with_fields(lines, layout.movies).select(
        "content",
        "block",
        "position",
        first_reason(not_an_id("movie_id", movie_id), no_title, bad_genres).alias("reason"),
        movie_id.alias("movie_id"),
        title.alias("title"),
        year.alias("year"),
        genres.alias("genres"),
    )
    return refuse_repeated(movies, "movie_id")


def parse_users(lines: DataFrame, table: Table) -> DataFrame:
    """user_id, gender, age, occupation, zip_code, and `reason`. The first line of an id counts."""
    user_id = digits("user_id", "int")
    names = F.array(*(F.lit(name) for name in OCCUPATIONS))
    # A number in ml-1m, a name in ml-100k.
    code = F.col("occupation").try_cast("int")
    name = F.when(code.isNull() & (F.col("occupation") != ""), F.col("occupation"))
    users = with_fields(lines, table).select(
        "content",
        "block",
        "position",
        first_reason(not_an_id("user_id", user_id)).alias("reason"),
        user_id.alias("user_id"),
        "gender",
        F.col("age").try_cast("int").alias("age"),
        F.coalesce(F.get(names, code), name).alias("occupation"),
        "zip_code",
    )
    return refuse_repeated(users, "user_id")


def refuse_repeated(rows: DataFrame, key: str) -> DataFrame:
    """Give all but the first usable line of a key a reason."""
    order = Window.partitionBy(key, F.col("reason").isNull()).orderBy("block", "position")
    repeated = F.col("reason").isNull() & (F.row_number().over(order) > 1)
    reason = F.when(
        repeated, F.concat(F.lit(f"{key} "), key, F.lit(" was given by an earlier line"))
    )
    return rows.withColumn("reason", F.coalesce("reason", reason))


def refuse_unknown_movies(
    ratings: DataFrame, movie_index: DataFrame, layout: Layout
) -> DataFrame:
    """Add movie_idx; ratings of movies without one get a reason: nobody could name such a movie."""
    known = movie_index.select("movie_id", "movie_idx")
    joined = ratings.join(F.broadcast(known), "movie_id", "left")
    unknown = F.when(
        F.col("movie_idx").isNull(),
        F.concat(F.lit("movie_id "), F.col("movie_id"), F.lit(f" is not in {layout.movies.file}")),
    )
    return joined.withColumn("reason", F.coalesce("reason", unknown))
