"""Movies from lines: titles, years and genres as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.cleaning.lines import (
    first_reason,
    id_columns,
    not_an_id,
    refuse_repeated,
    with_fields,
    without_controls,
)
from jobs.cleaning.ratings import still_rated, with_time
from jobs.release.layouts import NO_GENRE, Layout

NO_GENRES = "(no genres listed)"
# The year or years in the last parentheses that hold any, as in "Dark Places (1995) (V)",
# "Doctor Who (2009\u2013 )" or "Mona (1983))"; what follows may only be in parentheses, too.
YEAR = r"\(((?:18|19|20)\d\d)(?:\s?[-\u2013]\s?(?:\d{4})?\s?)?\)+(?:\s*\((?!\d)[^()]*\))*\s*$"


def parse_movies(lines: DataFrame, layout: Layout) -> DataFrame:
    """movie_id, title, year, genres, source_movie_id, and `reason`.

    Of a repeated id, the first line counts. The number of an id that is none of ours is null.
    """
    assert layout.movies
    ids = id_columns("movie", layout)
    *_, found = ids.values()
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
        named = "genres" in layout.movies.fields
        genres = named_genres("genres") if named else F.array().cast("array<string>")
        bad_genres, year = F.lit(None), year_of(title)
    movies = with_fields(lines, layout.movies).select(
        "content",
        "block",
        "position",
        first_reason(not_an_id("movie_id", layout.movie_ids, found), no_title, bad_genres).alias(
            "reason"
        ),
        ids["movie_id"].alias("movie_id"),
        ids.get("source_movie_id", F.lit(None).cast("string")).alias("source_movie_id"),
        title.alias("title"),
        year.alias("year"),
        genres.alias("genres"),
    )
    return refuse_repeated(movies, "movie_id", list(ids)[-1])


def rated_only(ratings: DataFrame, ds: date) -> DataFrame:
    """The same of movies that ratings alone name: their titles are the ids.

    A movie is one as long as it has a rating that nobody has deleted, in a run of the date `ds`.
    """
    named = "source_movie_id" in ratings.columns
    names = ["movie_id", "source_movie_id"] if named else ["movie_id"]
    if "deleted" in ratings.columns:
        # By ids as they came: those that are texts have no numbers yet. What is bad is told when
        # lines are gathered: before, Spark would parse each once more, in code too long to compile.
        user = "source_user_id" if "source_user_id" in ratings.columns else "user_id"
        pairs = with_time(ratings, ds).groupBy(user, *names)
        lines = pairs.agg(still_rated().alias("rated")).filter("rated")
    else:
        lines = ratings.filter("reason is null")
    rated = lines.select(*names).distinct().coalesce(1)
    return rated.select(
        F.lit("").alias("content"),
        F.lit(0).cast("bigint").alias("block"),
        F.monotonically_increasing_id().alias("position"),
        F.lit(None).cast("string").alias("reason"),
        "movie_id",
        F.col(names[-1]).cast("string").alias("title"),
        F.lit(None).cast("int").alias("year"),
        F.array().cast("array<string>").alias("genres"),
        F.col("source_movie_id") if named else F.lit(None).cast("string").alias("source_movie_id"),
    )


def with_known(rated: DataFrame, known: DataFrame, layout: Layout) -> DataFrame:
    """Movies that ratings alone name, and `known` ones, schemas.MOVIES, of other ids."""
    key = "movie_id" if layout.movie_ids == "int" else "source_movie_id"
    new = rated.join(known.select(key), key, "left_anti")
    blank = rated.limit(0).unionByName(known, allowMissingColumns=True)
    as_read = {"content": "", "block": 0, "position": 0}
    rows = blank.withColumns({name: F.lit(value) for name, value in as_read.items()})
    return new.unionByName(rows).coalesce(1)


def clean_title(name: str) -> Column:
    """The title without spaces around it, in composed Unicode, with characters for "&#8230;".

    Control characters are no part of it, however they were written.
    """
    # Static methods of libraries that Spark brings along: a Python worker would take a second.
    escapes, normalizer = "org.apache.commons.text.StringEscapeUtils", "com.ibm.icu.text.Normalizer"
    plain = F.try_reflect(F.lit(escapes), F.lit("unescapeXml"), F.col(name))
    composed = F.try_reflect(F.lit(normalizer), F.lit("compose"), plain, F.lit(False))
    return F.regexp_replace(without_controls(composed), r"(?U)^\s+|\s+$", "")


def year_of(title: Column) -> Column:
    """The year in a title, of several the first one of the last parentheses; null without one."""
    return F.regexp_extract(title, YEAR, 1).try_cast("int")


def named_genres(name: str) -> Column:
    """The genres of "Comedy|Drama", none of "" or "(no genres listed)"."""
    names = F.split(F.coalesce(without_controls(F.col(name)), F.lit("")), r"\|")
    return F.array_distinct(F.array_remove(F.array_remove(names, ""), NO_GENRES))


def flagged_genres(genres: Sequence[str]) -> tuple[Column, Column]:
    """The genres whose flags genre_0, genre_1, ... are 1, and the reason where one is no flag."""
    flags = [F.col(f"genre_{number}") for number in range(len(genres))]
    named = [
        F.when(flag == "1", name)
        for flag, name in zip(flags, genres, strict=True)
        if name != NO_GENRE
    ]
    good = F.forall(F.array(*flags), lambda flag: flag.isin("0", "1"))
    bad = F.when(~good, "genres: expected 0 or 1 for each genre")
    return F.array_compact(F.array(*named)), bad
