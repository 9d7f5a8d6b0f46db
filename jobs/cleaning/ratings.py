"""Ratings from lines; of repeated ones the newest counts."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.cleaning.lines import (
    digits,
    first_reason,
    id_columns,
    not_an_id,
    plain,
    unusable,
    with_fields,
)
from jobs.release.dated import end_of_times
from jobs.release.layouts import Layout


def parse_ratings(lines: DataFrame, layout: Layout) -> DataFrame:
    """user_id, movie_id, rating, timestamp (seconds), and `reason`, beside the line itself.

    Where lines may delete also `deleted`; the rating of one that does may be null. And, where ids
    are not of the kind `int`, source_user_id, source_movie_id: see `id_columns`.
    """
    ids = {entity: id_columns(entity, layout) for entity in ("user", "movie")}
    of_both = ids["user"] | ids["movie"]
    # Ids are columns before anything asks for them, so that each is read once.
    cut = with_fields(lines, layout.ratings).select(
        "*", *(column.alias(f"found_{name}") for name, column in of_both.items())
    )
    rows = own_numbers(cut, layout) if layout.own else usual_numbers(cut, layout)
    deletes = F.col("deletes") if layout.deletes else F.lit(False)
    on_scale = F.col("number").isNotNull()
    if layout.rating_range:
        on_scale &= F.col("number").between(*layout.rating_range)
    if layout.rating_step:
        on_scale &= F.col("number") % layout.rating_step == 0
    reasons = [
        not_an_id(f"{entity}_id", layout.ids_of(entity), F.col(f"found_{list(columns)[-1]}"))
        for entity, columns in ids.items()
    ]
    if layout.deletes:
        reasons.append(F.when(deletes.isNull(), unusable("deleted", "true or false, 1 or 0")))
    if not layout.implicit:
        # Who deletes a rating need not repeat it.
        wrong = ~F.coalesce(on_scale | deletes, F.lit(False))
        reasons.append(F.when(wrong, unusable("rating", layout.scale)))
    if layout.time != "none":
        expected = time_in_words(layout.time)
        reasons.append(F.when(F.col("seconds").isNull(), unusable("timestamp", expected)))
    reason = first_reason(*reasons)
    return rows.select(
        "content",
        "block",
        "position",
        reason.alias("reason"),
        *(F.col(f"found_{name}").alias(name) for name in of_both),
        F.col("number").cast("float").alias("rating"),
        F.col("seconds").alias("timestamp"),
        *([deletes.alias("deleted")] if layout.deletes else []),
    )


def deletion() -> Column:
    """Whether a line deletes the rating of its user and movie; null where it does not say."""
    text = F.lower(F.trim(F.coalesce("deleted", F.lit(""))))
    # With a point where a column of numbers had empty places.
    return F.when(text.isin("1", "1.0", "true", "t", "yes", "y"), F.lit(True)).when(
        text.isin("0", "0.0", "false", "f", "no", "n", ""), F.lit(False)
    )


def usual_numbers(rows: DataFrame, layout: Layout) -> DataFrame:
    """Add number and seconds of GroupLens's fields; null where one is no number."""
    assert layout.rating_step
    assert layout.rating_range
    last = round(layout.rating_range[1] / layout.rating_step)
    steps = [layout.rating_step * n for n in range(1, last + 1)]
    usual = F.col("rating").isin([f"{step:g}" for step in steps] + [f"{step}" for step in steps])
    number = F.when(
        usual | F.col("rating").rlike(r"^[0-9]+(\.[0-9]+)?$"), F.col("rating").try_cast("double")
    )
    # Numbers are columns before anything asks for them, so that each is read once.
    return rows.select(
        "*",
        number.alias("number"),
        # Ten digits end in the year 2286; what is longer is no time in seconds.
        digits("timestamp", "bigint").alias("seconds"),
    )


def own_numbers(rows: DataFrame, layout: Layout) -> DataFrame:
    """The same of own files, and what `deletes`; seconds are 0 where there is no time."""
    return rows.select(
        "*",
        (F.lit(1.0) if layout.implicit else own_number("rating")).alias("number"),
        own_seconds(layout).alias("seconds"),
        *([deletion().alias("deletes")] if layout.deletes else []),
    )


def own_number(name: str) -> Column:
    """A rating of own files, with a point or a comma; null where it is no number."""
    text = F.translate(F.trim(name), ",", ".")
    form = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
    # Looking a rating up is faster than to look at it.
    usual = text.isin(list(USUAL)) | text.rlike(form)
    number = F.when(usual, text.try_cast("double"))
    # As it is kept: what has no place there is no rating.
    return F.when(F.abs(number.cast("float")) < float("inf"), number)


# Ratings as most files write them.
USUAL = {str(n) for n in range(101)} | {str(n / 2) for n in range(21)}
# Units of time, in digits after the seconds.
UNITS = {"seconds": 0, "milliseconds": 3, "microseconds": 6, "nanoseconds": 9}


def own_seconds(layout: Layout) -> Column:
    """Seconds since 1970 of own files: 0 without a time, null where it is written otherwise.

    So is a time in milliseconds among times in seconds.
    """
    if layout.time == "none":
        return F.lit(0).cast("bigint")
    text = F.trim("timestamp")
    if layout.time in UNITS:
        more = UNITS[layout.time]
        fits = text.rlike(rf"^[0-9]{{1,{10 + more}}}(\.[0-9]+)?$")
        whole = F.when(fits, F.substring_index(text, ".", 1).try_cast("bigint"))
        whole = F.when(
            plain(text, "bigint", min(10 ** (10 + more), 2**63) - 1), text.try_cast("bigint")
        ).otherwise(whole)
        seconds = F.floor(whole / 10**more) if more else whole
    elif layout.time == "dates":
        fits = text.rlike(r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T].*)?$")
        seconds = F.when(fits, F.unix_seconds(text.try_cast("timestamp")))
    else:
        seconds = F.unix_seconds(F.try_to_timestamp(text, F.lit(layout.time)))
    return F.when(F.coalesce(text, F.lit("")) == "", F.lit(0)).otherwise(seconds).cast("bigint")


def time_in_words(time: str) -> str:
    """What a time is expected to be."""
    if time in UNITS:
        return f"{time} since 1970"
    return "a date as in 2018-01-17" if time == "dates" else f"a time as in {time}"


def refuse_unknown_movies(ratings: DataFrame, movie_index: DataFrame, layout: Layout) -> DataFrame:
    """Add movie_idx; ratings of movies without one get a reason: nobody could name such a movie."""
    named, known = "movie_id", movie_index.select("movie_id", "movie_idx")
    if layout.movie_ids != "int":
        # A line alone does not tell the number of its movie.
        named, ratings = "source_movie_id", ratings.drop("movie_id")
        known = movie_index.select("source_movie_id", "movie_id", "movie_idx")
    joined = ratings.join(F.broadcast(known), named, "left")
    if layout.movies is None:
        return joined
    unknown = F.when(
        F.col("movie_idx").isNull(),
        F.concat(F.lit("movie_id "), F.col(named), F.lit(f" is not in {layout.movies.name}")),
    )
    return joined.withColumn("reason", F.coalesce("reason", unknown))


def with_time(ratings: DataFrame, ds: date) -> DataFrame:
    """Add rated_at: null where the timestamp is 0, or later than the day after the run's date.

    The run's date, and not the clock, so that the same run gives the same times.
    """
    known = (F.col("timestamp") > 0) & (F.col("timestamp") < end_of_times(ds))
    return ratings.withColumn("rated_at", F.when(known, F.timestamp_seconds("timestamp")))


def with_lines(ratings: DataFrame) -> DataFrame:
    """Add lines: of how many lines with a rating a row is, where some delete; else the same."""
    if "deleted" not in ratings.columns:
        return ratings
    return ratings.withColumn("lines", F.when(F.col("deleted"), 0).otherwise(1))


def newest(ratings: DataFrame) -> DataFrame:
    """One row per user and movie: the newest by rated_at; of equally old ones the last line.

    Where lines may delete, `lines` is then the sum of those of the user and movie, and `deleted`
    says that there is no rating any more.
    """
    pair = Window.partitionBy("user_id", "movie_id")
    order = pair.orderBy(F.desc_nulls_last("rated_at"), F.desc("block"), F.desc("position"))
    ranked = ratings.withColumn("newest", F.row_number().over(order) == 1)
    if "lines" in ratings.columns:
        ranked = ranked.withColumn("lines", F.sum("lines").over(pair).cast("int"))
    return ranked.filter("newest").drop("newest")


def still_rated() -> Column:
    """Whether `newest` leaves a rating, of the lines of a user and a movie; null if all are bad."""
    line = F.struct("rated_at", "block", "position", "deleted")
    return ~F.max(F.when(F.col("reason").isNull(), line))["deleted"]
