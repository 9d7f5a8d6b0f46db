"""What etl writes of clean ratings and their users, and the figures of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from jobs.cleaning.delivery import Delivery
from jobs.cleaning.histories import histories, takes_part
from jobs.cleaning.model_inputs import rated_movies, shuffled, with_seconds
from jobs.cleaning.order_splits import TEST, VALIDATION, Choice, choose
from jobs.engines.spark import together
from jobs.runs import schemas
from jobs.runs.run import Run

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Cleaned:
    """What is to be written of a delivery, or of the users in whom a later one differs."""

    delivery: Delivery
    bad: DataFrame
    """schemas.QUARANTINE."""
    ratings: DataFrame
    """Cached, users in ranges of partitions: user_id, movie_id, movie_idx, rating, rated_at, split,
    perhaps `lines`."""
    users: DataFrame
    """Cached: schemas.USERS, has_rated and user_idx, of all users."""
    newest: DataFrame | None = None
    """Cached, where lines may delete: schemas.REPEATS of all users and movies."""

    def unpersist(self) -> None:
        kept = [self.ratings, self.users, self.newest, *(f.rows for f in self.delivery.files)]
        for each in kept:
            if each is not None:
                each.unpersist()


def write(
    folder: Path, rows: DataFrame, name: str, schema: str, *partition_by: str, most_rows: int = 0
) -> None:
    """Write one output with exactly the columns and types of its DDL schema.

    `most_rows` of them lie in a file, if given.
    """
    columns = schemas.columns_of(schema).items()
    rows = rows.select(*(F.col(column).cast(kind).alias(column) for column, kind in columns))
    writer = rows.write.mode("overwrite").option("maxRecordsPerFile", most_rows)
    writer.partitionBy(*partition_by).parquet(str(folder / name))


def most_histories(run: Run, users: int) -> int:
    """Rows of `histories` in a file, so that ranks can share files out."""
    return max(1, users // run.conf.etl.min_row_groups)


def write_histories(
    run: Run, folder: Path, ratings: DataFrame, order_split: str, counts: dict[str, int]
) -> tuple[Choice, dict[str, int]]:
    """Write `histories`, dealt as etl.order_split would name it: by which split, and its figures.

    `counts` are those of ratings by split, of ratings without a time, and of all users.
    """

    def write_dealt(split: str) -> dict[str, int]:
        seen = Observation()
        parts = {"measured": TEST, "validated": VALIDATION}
        figures = [F.count_if(takes_part(part)).alias(name) for name, part in parts.items()]
        rows = histories(ratings, split, run.conf.etl)
        rows = rows.observe(seen, F.count("*").alias("raters"), *figures)
        most_rows = most_histories(run, counts["users"])
        write(folder, rows, "histories", schemas.HISTORIES, most_rows=most_rows)
        return seen.get

    dealt = write_dealt("next-visit" if order_split == "auto" else order_split)
    chosen = chosen_split(order_split, counts | dealt)
    if order_split == "auto" and chosen.split != "next-visit":
        dealt = write_dealt(chosen.split)
    return chosen, dealt


def chosen_split(order_split: str, counts: dict[str, int]) -> Choice:
    """The split that etl.order_split names, or what suits histories.

    `counts` are those of ratings, and what came of dealing histories by next visit.
    """
    if order_split != "auto":
        return Choice(order_split, "etl.order_split says so")
    rows = sum(counts[split] for split in SPLITS)
    return choose(counts["raters"], counts["measured"], rows, rows - counts["undated"])


def order_figures(chosen: Choice, dealt: dict[str, int]) -> dict[str, Any]:
    """What etl's record says of histories; also prints it."""
    users, why = dealt["measured"], chosen.why
    print(f"etl: order is measured by {chosen.split}, {users:,} users: {why}", flush=True)
    return {
        "order_split": chosen.split,
        "why_order_split": chosen.why,
        "order_users": users,
        "order_validation_users": dealt["validated"],
    }


def write_outputs(
    run: Run, cleaned: Cleaned, folder: Path, order_split: str, row_groups: int = 0
) -> tuple[dict[str, Any], tuple[Choice, dict[str, int]]]:
    """Write all outputs: into the run's folder, but what is of single users into `folder`.

    Returns counts of ratings and users, and which split histories have and what came of it.
    `row_groups`: of each split; 0: as conf says.
    """
    rows, everybody, conf = Observation(), Observation(), run.conf.etl
    ratings, users, delivery = cleaned.ratings, cleaned.users, cleaned.delivery
    sizes = [F.count_if(F.col("split") == split).alias(split) for split in SPLITS]
    undated = F.count_if(F.col("rated_at").isNull()).alias("undated")
    scale = F.min("rating").alias("lowest"), F.max("rating").alias("highest")
    # Lines with a rating, of users and movies that have one in the end.
    held = [F.sum("lines").alias("held")] if "lines" in ratings.columns else []
    observed = ratings.observe(rows, *sizes, undated, *scale, *held)
    heads = F.count("*").alias("users"), F.count_if("has_rated").alias("raters")
    spark, movies, newest = ratings.sparkSession, delivery.indexed_movies, cleaned.newest
    repeats = [] if newest is None else [newest.filter("deleted or lines > 1")]
    together(
        spark,
        lambda: write(folder, observed, "ratings", schemas.RATINGS),
        lambda: write(run.folder, users.observe(everybody, *heads), "users", schemas.USERS),
        lambda: write(run.folder, cleaned.bad, "quarantine", schemas.QUARANTINE, "run_id"),
        lambda: write(run.folder, movies, "movies", schemas.MOVIES),
        lambda: write(run.folder, movies, "movie_index", schemas.MOVIE_INDEX),
        *(partial(write, folder, rows, "repeats", schemas.REPEATS) for rows in repeats),
    )
    delivery.ratings.rows.unpersist()
    counts = dict(rows.get) | {"users": everybody.get["users"]}
    row_groups = row_groups or max(conf.min_row_groups, counts["train"] // conf.row_group_rows)
    indexed = ratings.join(F.broadcast(users.select("user_id", "user_idx")), "user_id")
    dealt = with_seconds(shuffled(indexed, row_groups, conf.split_seed))
    rated = rated_movies(ratings, users, everybody.get["raters"] == counts["users"])
    *_, order = together(
        spark,
        lambda: write(folder, dealt, "splits", schemas.INDEXED_RATINGS, "split"),
        lambda: write(folder, rated, "rated", schemas.RATED),
        lambda: write(run.folder, users, "user_index", schemas.USER_INDEX),
        lambda: write_histories(run, folder, indexed, order_split, counts),
    )
    cleaned.unpersist()
    return counts, order
