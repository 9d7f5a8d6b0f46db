"""A whole delivery, parsed: what is usable, and what goes to quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.cleaning.base import Base
from jobs.cleaning.lines import START_BITS, read_lines
from jobs.cleaning.model_inputs import with_index
from jobs.cleaning.movies import parse_movies, rated_only, with_known
from jobs.cleaning.parquet_rows import read_parquet
from jobs.cleaning.ratings import parse_ratings, refuse_unknown_movies
from jobs.cleaning.source_ids import SourceIds, with_numbers
from jobs.cleaning.users import parse_users
from jobs.engines.spark import together
from jobs.release.layouts import Layout, Table
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.schemas import MOVIES

NONE_GIVEN = {"user": 0, "movie": 0}


@dataclass(frozen=True)
class Parsed:
    """The lines of a table as they were parsed, each with block, position and reason.

    Of lines that can be used the content is gone.
    """

    files: tuple[str, ...]
    rows: DataFrame
    before: dict[int, int]
    """What must be added to a line's position to get its number, by block."""
    lines: int
    bad: int
    """Lines with a reason."""
    latest: int = 0
    """The latest time of those without one, in seconds since 1970; 0 where there is none."""
    index: tuple[str, DataFrame] | None = None
    """Of which entity the source's ids are no numbers of ours, and schemas.SOURCE_IDS of it."""

    @property
    def usable(self) -> DataFrame:
        rows = self.rows.filter("reason is null")
        return with_numbers(rows, *self.index) if self.index else rows


@dataclass(frozen=True)
class Delivery:
    """What a delivery holds, cached."""

    ratings: Parsed
    """With user_id, movie_id, movie_idx, rating and timestamp, perhaps source_user_id."""
    movies: Parsed
    """With movie_id, title, year, genres and source_movie_id."""
    indexed_movies: DataFrame
    """The usable ones, with movie_idx."""
    users: Parsed | None
    """With user_id, gender, age, occupation and zip_code; None where there is no such file."""

    @property
    def files(self) -> list[Parsed]:
        return [file for file in (self.ratings, self.movies, self.users) if file]


def read_delivery(
    spark: SparkSession,
    run: Run,
    layout: Layout,
    given: Mapping[str, int] = NONE_GIVEN,
    base: Base | None = None,
) -> Delivery:
    """Parse the files that a layout names; of ratings those that have come since `base`, if given.

    `given`: the lowest numbers of users and movies that published tables have, which
    `SourceIds.with_added` holds against its own.
    """
    of_ratings = base.table(layout.ratings) if base else layout.ratings

    def lines_of(table: Table) -> DataFrame:
        if table.names:
            return read_parquet(spark, run.raw, table)
        return read_lines(spark, run.raw, table, layout.encoding)

    def rating_lines() -> DataFrame:
        lines = lines_of(of_ratings)
        return lines.limit(0) if base and not base.new else lines

    def movies() -> Parsed:
        if not layout.movies:
            rated = rated_only(parse_ratings(rating_lines(), layout), run.ds)
            if base:
                known = spark.read.schema(MOVIES).parquet(str(base.run.data("movies")))
                rated = with_known(rated, known, layout)
            return counted(of_ratings.files, rated, header=False)
        # In one partition, nothing has to be exchanged to find repeated ids.
        lines = lines_of(layout.movies).coalesce(1)
        return counted(layout.movies.files, parse_movies(lines, layout), layout.movies.header)

    def users() -> Parsed | None:
        if not layout.users:
            return None
        lines = lines_of(layout.users).coalesce(1)
        return counted(layout.users.files, parse_users(lines, layout.users), header=False)

    known, profiles = together(spark, movies, users)
    known = numbered(known, "movie", run, layout, given)
    indexed = with_index(known.usable, "movie")
    rows = parse_ratings(rating_lines(), layout)
    known_only = refuse_unknown_movies(rows, indexed, layout)
    ratings = counted(of_ratings.files, known_only, of_ratings.header)
    ratings = numbered(ratings, "user", run, layout, given)
    return Delivery(ratings, known, indexed, profiles)


def numbered(
    parsed: Parsed, entity: str, run: Run, layout: Layout, given: Mapping[str, int]
) -> Parsed:
    """The same with numbers for all usable ids; new ones are put into the release's index."""
    if layout.ids_of(entity) == "int":
        return parsed
    without = parsed.usable.filter(F.col(f"{entity}_id").isNull())
    texts = without.select(F.col(f"source_{entity}_id").alias("source_id")).distinct()
    ids = SourceIds(run.warehouse.source_ids(run.release, entity))
    index = ids.with_added(texts, run.staging / f"new_{entity}s", given[entity])
    return replace(parsed, index=(entity, index))


def own_test(spark: SparkSession, raw: Path, layout: Layout, name: str | None) -> DataFrame:
    """The test ratings that a release itself gives, as in u1.test. Raises JobError without them."""
    file = raw / f"{name}.test"
    if not file.is_file():
        raise JobError(
            f"etl.split is given and etl.given is {name}, but {raw} holds no {file.name}. Only "
            "ml-100k has splits of its own; take another one, as in --set etl.split=random."
        )
    rows = replace(layout.ratings, file=file.name, header=False)
    return parse_ratings(read_lines(spark, raw, rows, layout.encoding), layout)


def counted(files: tuple[str, ...], parsed: DataFrame, header: bool) -> Parsed:
    """Cache the parsed lines of a table, and count them; `header`: its files begin with one."""
    content = F.when(F.col("reason").isNotNull(), F.col("content"))
    rows = parsed.withColumn("content", content).cache()
    time = F.col("timestamp") if "timestamp" in rows.columns else F.lit(0)
    latest = F.max(F.when(F.col("reason").isNull(), time))
    blocks = rows.groupBy("block").agg(
        F.count("*").alias("lines"),
        F.min("position").alias("first"),
        F.count("reason").alias("bad"),
        latest.alias("latest"),
    )
    # Numbers count from 1 in each file, header included.
    numbers, before = [2 if header else 1] * len(files), {}
    found = sorted(blocks.collect())
    for block in found:
        file = block.block >> START_BITS
        before[block.block] = numbers[file] - block.first
        numbers[file] += block.lines
    lines, bad = sum(block.lines for block in found), sum(block.bad for block in found)
    return Parsed(files, rows, before, lines, bad, max((b.latest or 0 for b in found), default=0))


def quarantine(files: list[Parsed], run_id: str) -> DataFrame:
    """The lines with a reason of some files, in schemas.QUARANTINE; one partition."""
    with_bad = [file for file in files if file.bad]
    if not with_bad:
        # Of no file need lines be looked at again.
        return bad_lines(files[0], run_id).limit(0)
    return reduce(DataFrame.unionByName, (bad_lines(file, run_id) for file in with_bad)).coalesce(1)


def bad_lines(file: Parsed, run_id: str) -> DataFrame:
    """The lines with a reason of one table, in schemas.QUARANTINE."""
    names = F.array(*map(F.lit, file.files))
    pairs = [F.lit(value).cast("bigint") for pair in file.before.items() for value in pair]
    before = F.element_at(F.create_map(*pairs), F.col("block")) if pairs else F.lit(0)
    return file.rows.filter("reason is not null").select(
        F.lit(run_id).alias("run_id"),
        F.get(names, F.shiftright("block", START_BITS).cast("int")).alias("file"),
        (F.col("position") + before).alias("line"),
        "reason",
        "content",
    )
