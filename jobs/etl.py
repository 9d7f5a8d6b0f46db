"""Clean a delivery and prepare what training and scoring read.

    nightreel etl --run-id <run>

Reads the raw files of the run's release. Writes into the run's folder:

    ratings, movies, users   clean rows; every rating carries its split
    quarantine               lines that could not be used, with file, line and reason
    user_index, movie_index  id -> row number in Factors
    splits/split=...         ratings by row number, in shuffled, even row groups, per split
    rated                    every user's rated movies, whatever the split
    histories                every user's ratings in time order, with their splits
    movie_features           genres as multi-hot, and the year
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs import cleaning, schemas
from jobs.arguments import run_of, step_arguments
from jobs.command import run_command
from jobs.errors import JobError
from jobs.features import genre_names, histories, movie_features
from jobs.layouts import Layout, detect_layout
from jobs.run import Run
from jobs.spark import spark_session
from jobs.splits import shuffled, with_split

SPLITS = ("train", "validation", "test")


def index(ids: DataFrame, entity: str) -> DataFrame:
    """<entity>_id, <entity>_idx: the row number is the id's place among all ids, from 0."""
    order = Window.orderBy(f"{entity}_id")
    row = (F.row_number().over(order) - 1).alias(f"{entity}_idx")
    return ids.select(f"{entity}_id").distinct().select(f"{entity}_id", row)


def all_users(profiles: DataFrame | None, ratings: DataFrame) -> DataFrame:
    """schemas.USERS: everybody with a profile or a rating; unknown details are null."""
    raters = ratings.select("user_id").distinct()
    if profiles is None:
        blank = ["cast(null as string) gender", "cast(null as int) age"]
        blank += ["cast(null as string) occupation", "cast(null as string) zip_code"]
        return raters.selectExpr("user_id", *blank)
    return raters.join(profiles, "user_id", "full")


def rated_movies(ratings: DataFrame, users: DataFrame) -> DataFrame:
    """schemas.RATED: one row per user with the movies rated in any split; users in id order."""
    lists = ratings.groupBy("user_id").agg(F.collect_list("movie_id").alias("movie_ids"))
    movie_ids = F.coalesce("movie_ids", F.array().cast("array<int>"))
    rows = users.join(lists, "user_id", "left").select(
        "user_id", F.sort_array(movie_ids).alias("movie_ids")
    )
    return rows.repartitionByRange("user_id").sortWithinPartitions("user_id")


def own_test(spark: SparkSession, raw: Path, layout: Layout, name: str | None) -> DataFrame:
    """The test ratings that a release itself gives, as in u1.test. Raises JobError without them."""
    file = raw / f"{name}.test"
    if not file.is_file():
        raise JobError(
            f"etl.split is given and etl.given is {name}, but {raw} holds no {file.name}. Only "
            "ml-100k has splits of its own; take another one, as in --set etl.split=random."
        )
    return cleaning.parse_ratings(cleaning.read_lines(spark, file, layout), layout)


def conform(rows: DataFrame, schema: str) -> DataFrame:
    """Exactly the columns and types of a DDL schema."""
    columns = schemas.columns_of(schema).items()
    return rows.select(*(F.col(name).cast(kind).alias(name) for name, kind in columns))


def etl(spark: SparkSession, run: Run) -> dict[str, Any]:
    """Do all of it; returns the figures of the step."""
    raw, layout, conf = run.raw, detect_layout(run.raw), run.conf.etl
    print(f"etl: {layout}", flush=True)

    given_test = own_test(spark, raw, layout, conf.given) if conf.split == "given" else None

    def write(rows: DataFrame, name: str, *partition_by: str) -> DataFrame:
        target = str(run.output(name))
        rows.write.mode("overwrite").partitionBy(*partition_by).parquet(target)
        return spark.read.schema(rows.schema).parquet(target)

    def lines_of(file: str) -> DataFrame:
        return cleaning.read_lines(spark, raw / file, layout)

    rating_lines, movie_lines = lines_of(layout.ratings.file), lines_of(layout.movies.file)
    parsed_movies = cleaning.parse_movies(movie_lines, layout).cache()
    usable_movies = conform(parsed_movies.filter("reason is null"), schemas.MOVIES)
    movies = write(usable_movies.coalesce(1).sortWithinPartitions("movie_id"), "movies")
    parsed = cleaning.parse_ratings(rating_lines, layout)
    parsed = cleaning.refuse_unknown_movies(parsed, movies, layout).cache()
    usable = parsed.filter("reason is null")

    def set_aside(rows: DataFrame, lines: DataFrame, file: str) -> DataFrame:
        return cleaning.quarantine(rows, lines, file, run.run_id, layout.header)

    bad = [
        set_aside(parsed, rating_lines, layout.ratings.file),
        set_aside(parsed_movies, movie_lines, layout.movies.file),
    ]
    profiles = None
    if layout.users:
        user_lines = lines_of(layout.users.file)
        parsed_users = cleaning.parse_users(user_lines, layout.users).cache()
        profiles = conform(parsed_users.filter("reason is null"), schemas.USERS)
        bad.append(set_aside(parsed_users, user_lines, layout.users.file))
    quarantine = write(reduce(DataFrame.unionByName, bad).coalesce(1), "quarantine", "run_id")
    if usable.isEmpty():
        example = quarantine.first()
        raise JobError(f"{raw / layout.ratings.file}: no usable rating. First bad line: {example}.")

    ratings = cleaning.newest(cleaning.with_time(usable, run.ds))
    ratings = with_split(ratings, conf, given_test)
    ratings = conform(ratings, schemas.RATINGS)
    ratings = ratings.repartitionByRange("user_id").sortWithinPartitions("user_id", "movie_id")
    ratings = write(ratings, "ratings")
    users = write(all_users(profiles, ratings).coalesce(1).sortWithinPartitions("user_id"), "users")

    movie_index = write(index(movies, "movie"), "movie_index")
    user_index = write(index(users, "user"), "user_index")
    write(conform(rated_movies(ratings, users), schemas.RATED), "rated")
    by_split = ratings.groupBy("split").agg(
        F.count("*").alias("rows"), F.count_if(F.col("rated_at").isNull()).alias("undated")
    )
    found = by_split.collect()
    counts = {row.split: row.rows for row in found}
    indexed = ratings.join(F.broadcast(user_index), "user_id")
    indexed = indexed.join(F.broadcast(movie_index), "movie_id")
    row_groups = max(conf.min_row_groups, counts.get("train", 0) // conf.row_group_rows)
    order = shuffled(conform(indexed, schemas.INDEXED_RATINGS), row_groups, conf.split_seed)
    write(order, "splits", "split")
    write(conform(histories(indexed), schemas.HISTORIES), "histories")
    genres = genre_names(movies)
    features = movie_features(movies, movie_index, genres)
    write(conform(features, schemas.MOVIE_FEATURES), "movie_features")

    lines = parsed.agg(F.count("*"), F.count_if(F.col("reason").isNull())).collect()[0]
    return {
        "lines": lines[0],
        "ratings": sum(counts.values()),
        "quarantined": quarantine.count(),
        "duplicates": lines[1] - sum(counts.values()),
        "undated": sum(row.undated for row in found),
        "users": user_index.count(),
        "movies": movie_index.count(),
        **{split: counts.get(split, 0) for split in SPLITS},
        "layout": layout.ratings.file,
        "encoding": layout.encoding,
        "rating_step": f"{layout.rating_step:g}",
    }


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("etl") as figures:
        figures.update(etl(spark_session("etl", run.staging), run))


if __name__ == "__main__":
    run_command(main)
