"""The files of a delivery as parsed lines, each file read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from jobs import cleaning
from jobs.entities import with_index
from jobs.errors import JobError
from jobs.layouts import Layout
from jobs.lines import read_lines
from jobs.parsed import Parsed, keep
from jobs.run import Run
from jobs.spark import together


@dataclass(frozen=True)
class Delivery:
    """What a delivery holds, cached."""

    ratings: Parsed
    """With user_id, movie_id, movie_idx, rating and timestamp."""
    movies: Parsed
    """With movie_id, title, year and genres."""
    users: Parsed | None
    """With user_id, gender, age, occupation and zip_code; None where there is no such file."""

    @property
    def files(self) -> list[Parsed]:
        return [file for file in (self.ratings, self.movies, self.users) if file]


def read_delivery(spark: SparkSession, run: Run, layout: Layout) -> Delivery:
    """Parse the files that a layout names."""

    def lines_of(file: str) -> DataFrame:
        return read_lines(spark, run.raw / file, layout)

    def movies() -> Parsed:
        # In one partition, nothing has to be exchanged to find repeated ids.
        lines = lines_of(layout.movies.file).coalesce(1)
        return keep(layout.movies.file, cleaning.parse_movies(lines, layout), layout.header)

    def users() -> Parsed | None:
        if not layout.users:
            return None
        lines = lines_of(layout.users.file).coalesce(1)
        return keep(layout.users.file, cleaning.parse_users(lines, layout.users), layout.header)

    known, profiles = together(spark, movies, users)
    rows = cleaning.parse_ratings(lines_of(layout.ratings.file), layout)
    rows = cleaning.refuse_unknown_movies(rows, with_index(known.usable, "movie"), layout)
    return Delivery(keep(layout.ratings.file, rows, layout.header), known, profiles)


def own_test(spark: SparkSession, raw: Path, layout: Layout, name: str | None) -> DataFrame:
    """The test ratings that a release itself gives, as in u1.test. Raises JobError without them."""
    file = raw / f"{name}.test"
    if not file.is_file():
        raise JobError(
            f"etl.split is given and etl.given is {name}, but {raw} holds no {file.name}. Only "
            "ml-100k has splits of its own; take another one, as in --set etl.split=random."
        )
    return cleaning.parse_ratings(read_lines(spark, file, layout), layout)
