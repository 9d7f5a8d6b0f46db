"""Lines of a delivery become clean rows, or quarantined lines with a reason; none is lost.

Every function takes and returns DataFrames. Lines are read as text, so that a line that cannot be
parsed is still there to be quarantined.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.layouts import OCCUPATIONS, Layout, Table
from jobs.titles import clean_title, flagged_genres, named_genres, year_of


def read_lines(spark: SparkSession, file: Path, layout: Layout) -> DataFrame:
    """The lines of one file without its header: content, and (block, position) to order them.

    Spark cuts a file into blocks; `position` counts up within a block, without saying from where.
    """
    lines = spark.read.text(str(file)).select(
        # The text reader passes bytes on as they are; only here they become characters.
        F.decode(F.col("value").cast("binary"), layout.encoding).alias("content")
        if layout.encoding != "UTF-8"
        else F.expr("make_valid_utf8(value)").alias("content"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("position"),
    )
    lines = lines.withColumn("content", F.regexp_replace("content", "\r$", ""))
    # The first line of the first block, which the first partition begins with; layouts.py has
    # checked what it says.
    first = (F.col("block") == 0) & (F.col("position") == 0)
    lines = lines.filter(~first) if layout.header else lines
    blank = blank_end(file)
    last = lines.agg(F.max(F.struct("block", "position"))).first() if blank else None
    if last and last[0]:
        block, position = last[0]
        lines = lines.filter((F.col("block") < block) | (F.col("position") <= position - blank))
    return lines


def blank_end(file: Path) -> int:
    """How many empty lines the file ends with: they are an editor's, and no lines of the release.

    Empty lines elsewhere are quarantined.
    """
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - 1024))
        end = content.read()
    return max(0, end[len(end.rstrip(b"\r\n")) :].count(b"\n") - 1)


def split_fields(table: Table) -> Column:
    """The fields of a line as an array of strings; null where a CSV line cannot be parsed."""
    if table.separator != ",":
        return F.split("content", re.escape(table.separator), -1)
    schema = ", ".join(f"{name} string" for name in [*table.fields, "malformed"])
    options = {"columnNameOfCorruptRecord": "malformed", "escape": '"'}
    parsed = F.from_csv("content", schema, options)
    return F.when(parsed.malformed.isNull(), F.array(*(parsed[name] for name in table.fields)))


def with_fields(lines: DataFrame, table: Table) -> DataFrame:
    """One string column per field, and `reason`: why the line cannot be used, null where it can."""
    names = table.fields
    fields = lines.withColumn("fields", split_fields(table))
    found = F.coalesce(F.size("fields").cast("string"), F.lit("a line that is not CSV"))
    wrong = F.coalesce(F.size("fields") != len(names), F.lit(True))
    reason = F.when(wrong, F.concat(F.lit(f"expected {len(names)} fields, found "), found))
    columns = [F.when(~wrong, F.col("fields")[i]).alias(name) for i, name in enumerate(names)]
    return fields.select("content", "block", "position", reason.alias("reason"), *columns)


def first_reason(*reasons: Column) -> Column:
    """The first reason that applies; the one already found comes first."""
    return F.coalesce(F.col("reason"), *reasons)


def positive_id(name: str) -> tuple[Column, Column]:
    """An id as int, and the reason where it is none."""
    value = F.when(F.col(name).rlike("^[0-9]{1,10}$"), F.col(name).try_cast("int"))
    bad = F.coalesce(value < 1, F.lit(True))
    return value, F.when(bad, unusable(name, "a whole number from 1 to 2147483647"))


def unusable(name: str, expected: str) -> Column:
    found = F.coalesce(F.concat(F.lit("'"), F.col(name), F.lit("'")), F.lit("nothing"))
    return F.concat(F.lit(f"{name}: expected {expected}, found "), found)


def parse_ratings(lines: DataFrame, layout: Layout) -> DataFrame:
    """user_id, movie_id, rating, timestamp (seconds), and `reason`, beside the line itself."""
    low, high = layout.rating_range
    user_id, bad_user = positive_id("user_id")
    movie_id, bad_movie = positive_id("movie_id")
    number = F.when(
        F.col("rating").rlike(r"^[0-9]+(\.[0-9]+)?$"), F.col("rating").try_cast("double")
    )
    on_scale = number.between(low, high) & (number % layout.rating_step == 0)
    scale = f"{low:g} to {high:g} in steps of {layout.rating_step:g}"
    bad_rating = F.when(~F.coalesce(on_scale, F.lit(False)), unusable("rating", scale))
    # Ten digits end in the year 2286; what is longer is no time in seconds.
    good_time = F.coalesce(F.col("timestamp").rlike("^[0-9]{1,10}$"), F.lit(False))
    bad_time = F.when(~good_time, unusable("timestamp", "seconds since 1970"))
    return with_fields(lines, layout.ratings).select(
        "content",
        "block",
        "position",
        first_reason(bad_user, bad_movie, bad_rating, bad_time).alias("reason"),
        user_id.alias("user_id"),
        movie_id.alias("movie_id"),
        number.cast("float").alias("rating"),
        F.col("timestamp").try_cast("bigint").alias("timestamp"),
    )


def parse_movies(lines: DataFrame, layout: Layout) -> DataFrame:
    """movie_id, title, year, genres, and `reason`. Of a repeated id, the first line counts."""
    movie_id, bad_id = positive_id("movie_id")
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
        first_reason(bad_id, no_title, bad_genres).alias("reason"),
        movie_id.alias("movie_id"),
        title.alias("title"),
        year.alias("year"),
        genres.alias("genres"),
    )
    return refuse_repeated(movies, "movie_id")


def parse_users(lines: DataFrame, table: Table) -> DataFrame:
    """user_id, gender, age, occupation, zip_code, and `reason`. The first line of an id counts."""
    user_id, bad_id = positive_id("user_id")
    names = F.array(*(F.lit(name) for name in OCCUPATIONS))
    # A number in ml-1m, a name in ml-100k.
    code = F.col("occupation").try_cast("int")
    name = F.when(code.isNull() & (F.col("occupation") != ""), F.col("occupation"))
    users = with_fields(lines, table).select(
        "content",
        "block",
        "position",
        first_reason(bad_id).alias("reason"),
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


def refuse_unknown_movies(ratings: DataFrame, movies: DataFrame, layout: Layout) -> DataFrame:
    """Ratings of movies that have no clean row get a reason: nobody could name such a movie."""
    known = movies.select("movie_id", F.lit(True).alias("known"))
    joined = ratings.join(F.broadcast(known), "movie_id", "left")
    unknown = F.when(
        F.col("known").isNull(),
        F.concat(F.lit("movie_id "), F.col("movie_id"), F.lit(f" is not in {layout.movies.file}")),
    )
    return joined.withColumn("reason", F.coalesce("reason", unknown)).drop("known")


def with_time(ratings: DataFrame, ds: date) -> DataFrame:
    """Add rated_at: null where the timestamp is 0, or later than the day after the run's date.

    The run's date, and not the clock, so that the same run gives the same times.
    """
    end = (ds.toordinal() - date(1970, 1, 1).toordinal() + 2) * 86_400
    known = (F.col("timestamp") > 0) & (F.col("timestamp") < end)
    return ratings.withColumn("rated_at", F.when(known, F.timestamp_seconds("timestamp")))


def newest(ratings: DataFrame) -> DataFrame:
    """One rating per user and movie: the newest by rated_at; of equally old ones the last line."""
    order = Window.partitionBy("user_id", "movie_id").orderBy(
        F.desc_nulls_last("rated_at"), F.desc("block"), F.desc("position")
    )
    ranked = ratings.withColumn("newest", F.row_number().over(order) == 1)
    return ranked.filter("newest").drop("newest")


def quarantine(
    parsed: DataFrame, lines: DataFrame, file: str, run_id: str, header: bool
) -> DataFrame:
    """The lines with a reason, in schemas.QUARANTINE; numbers count from 1, header included."""
    before = Window.orderBy("block").rowsBetween(Window.unboundedPreceding, -1)
    blocks = (
        lines.groupBy("block")
        .agg(F.count("*").alias("lines"), F.min("position").alias("first"))
        .withColumn("before", F.coalesce(F.sum("lines").over(before), F.lit(0)))
    )
    bad = parsed.filter(F.col("reason").isNotNull()).join(F.broadcast(blocks), "block")
    line = F.col("before") + F.col("position") - F.col("first") + (2 if header else 1)
    return bad.select(
        F.lit(run_id).alias("run_id"),
        F.lit(file).alias("file"),
        line.alias("line"),
        "reason",
        "content",
    )
