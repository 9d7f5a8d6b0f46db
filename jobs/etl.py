"""Clean a delivery and prepare what training and scoring read.

    nightreel etl --run-id <run>

Reads the raw files of the run's release. Writes into the run's folder:

    ratings, movies, users   clean rows; every rating carries its split
    quarantine               lines that could not be used, with file, line and reason
    user_index, movie_index  id -> row number in Factors
    splits/split=...         ratings by row number, in shuffled, even row groups, per split
    rated                    every user's rated movies, whatever the split
    histories                every user's ratings in time order, with the split of order models
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from jobs.cleaning.delivery import Delivery, own_test, quarantine, read_delivery
from jobs.cleaning.histories import histories, takes_part
from jobs.cleaning.model_inputs import rated_movies, shuffled, with_index, with_seconds
from jobs.cleaning.order_splits import TEST, VALIDATION, Choice, choose
from jobs.cleaning.ratings import newest, with_time
from jobs.cleaning.splits import with_split
from jobs.cleaning.users import all_users
from jobs.engines.spark import spark_session, together
from jobs.published.runs_table import latest_run
from jobs.published.versions import versions_at
from jobs.published.views import connect
from jobs.release.detection import detect_layout
from jobs.release.layouts import Layout
from jobs.release.raw import require_whole
from jobs.runs import schemas
from jobs.runs.command import run_command, step_arguments
from jobs.runs.errors import JobError
from jobs.runs.run import Run, run_of
from jobs.runs.settings.delivery import RELEASES

SPLITS = ("train", "validation", "test")
OF_RATINGS = ("user_id", "movie_id", "movie_idx", "rating", "rated_at", "split")
# So many of the delivered ratings one task sorts.
PARTITION_ROWS = 2_000_000


def write(
    run: Run, rows: DataFrame, name: str, schema: str, *partition_by: str, most_rows: int = 0
) -> None:
    """Write one output with exactly the columns and types of its DDL schema.

    `most_rows` of them lie in a file, if given.
    """
    columns = schemas.columns_of(schema).items()
    rows = rows.select(*(F.col(column).cast(kind).alias(column) for column, kind in columns))
    writer = rows.write.mode("overwrite").option("maxRecordsPerFile", most_rows)
    writer.partitionBy(*partition_by).parquet(str(run.output(name)))


def write_histories(run: Run, ratings: DataFrame, counts: dict[str, int]) -> dict[str, Any]:
    """Write `histories`, in files that ranks can share out; returns which split they hold, and why.

    `counts` are those of ratings by split, of ratings without a time, and of all users.
    """
    conf = run.conf.etl

    def write_dealt(split: str) -> dict[str, int]:
        seen = Observation()
        parts = {"measured": TEST, "validated": VALIDATION}
        figures = [F.count_if(takes_part(part)).alias(name) for name, part in parts.items()]
        rows = histories(ratings, split, conf).observe(seen, F.count("*").alias("users"), *figures)
        most = max(1, counts["users"] // conf.min_row_groups)
        write(run, rows, "histories", schemas.HISTORIES, most_rows=most)
        return seen.get

    chosen = Choice(conf.order_split, "etl.order_split says so")
    auto = conf.order_split == "auto"
    dealt = write_dealt("next-visit" if auto else conf.order_split)
    if auto:
        rows = sum(counts[split] for split in SPLITS)
        dated = rows - counts["undated"]
        chosen = choose(dealt["users"], dealt["measured"], rows, dated)
        if chosen.split != "next-visit":
            dealt = write_dealt(chosen.split)
    users = dealt["measured"]
    print(f"etl: order is measured by {chosen.split}, {users:,} users: {chosen.why}", flush=True)
    return {
        "order_split": chosen.split,
        "why_order_split": chosen.why,
        "order_users": users,
        "order_validation_users": dealt["validated"],
    }


def clean_ratings(delivery: Delivery, run: Run, given_test: DataFrame | None) -> DataFrame:
    """The newest of the usable ratings, with time and split; users and their movies in order.

    Where lines may delete, also `lines`: with how many ratings each came.
    """
    cores = delivery.ratings.rows.sparkSession.sparkContext.defaultParallelism
    partitions = max(cores, delivery.ratings.lines // PARTITION_ROWS)

    def by_user(rows: DataFrame) -> DataFrame:
        return rows.repartitionByRange(partitions, "user_id")

    # A user's ratings together: then neither repeats nor lists of movies need another exchange.
    rows = by_user(with_time(delivery.ratings.usable, run.ds))
    rows = with_split(newest(rows), run.conf.etl, given_test)
    # These deal by a join, which may move rows.
    rows = by_user(rows) if run.conf.etl.split in ("given", "kfold", "position") else rows
    named = [name for name in (*OF_RATINGS, "lines") if name in rows.columns]
    return rows.select(*named).sortWithinPartitions("user_id", "movie_id")


def lowest_published(run: Run, layout: Layout) -> dict[str, int]:
    """The lowest numbers of users and movies that published tables have of the run's release.

    0 where they have none below, or the delivery brings none.
    """
    lowest = {"user": 0, "movie": 0}
    asked = [entity for entity in lowest if layout.ids_of(entity) != "int"]
    if asked and {"runs", "users", "movies"} <= versions_at(run.warehouse, None).keys():
        with connect(run.warehouse, ("runs", "users", "movies")) as tables:
            for entity in asked if latest_run(tables).release == run.release else ():
                query = f"select least(min({entity}_id), 0) from {entity}s"
                [(lowest[entity],)] = tables.execute(query).fetchall()
    return lowest


def etl(spark: SparkSession, run: Run) -> dict[str, Any]:
    """Do all of it; returns the figures of the step."""
    layout, conf = detect_layout(run.raw, run.conf.ingest), run.conf.etl
    print(f"etl: {layout}", flush=True)
    given_test = own_test(spark, run.raw, layout, conf.given) if conf.split == "given" else None
    delivery = read_delivery(spark, run, layout, lowest_published(run, layout))
    bad = quarantine(delivery.files, run.run_id)
    if delivery.ratings.bad == delivery.ratings.lines:
        write(run, bad, "quarantine", schemas.QUARANTINE, "run_id")
        file, example = run.raw / layout.ratings.file, bad.first()
        first = "It holds no line"
        if example:
            first = f"First bad line: {example.file}, line {example.line}: {example.reason}"
        mine = " Ratings of your own have a name of their own, as in --dataset mine, and docs/"
        mine = f"{mine}your-own-data.md says how they are read." * (run.release in RELEASES)
        raise JobError(f"{file}: no usable rating. {first}.{mine}")

    ratings = clean_ratings(delivery, run, given_test).cache()
    if layout.deletes and ratings.isEmpty():
        write(run, bad, "quarantine", schemas.QUARANTINE, "run_id")
        raise JobError(
            f"{run.raw / layout.ratings.file}: no rating is left, for the newest line of every "
            "user and movie deletes it. ingest.columns.deleted says by which column; if that is "
            "another one, set it, and ingest again."
        )
    rows, everybody = Observation(), Observation()
    sizes = [F.count_if(F.col("split") == split).alias(split) for split in SPLITS]
    undated = F.count_if(F.col("rated_at").isNull()).alias("undated")
    scale = F.min("rating").alias("lowest"), F.max("rating").alias("highest")
    # Lines with a rating, of users and movies that have one in the end.
    held = [F.sum("lines").alias("held")] if layout.deletes else []
    observed = ratings.observe(rows, *sizes, undated, *scale, *held)
    profiles = delivery.users.usable if delivery.users else None
    # Whoever has a usable rating has a clean one, of repeated ones one stays; but for deletions.
    raters = delivery.ratings.usable
    if layout.deletes:
        raters = raters.join(ratings.select("user_id").distinct(), "user_id", "left_semi")
    users = with_index(all_users(profiles, raters), "user").cache()
    heads = F.count("*").alias("users"), F.count_if("has_rated").alias("raters")
    together(
        spark,
        lambda: write(run, observed, "ratings", schemas.RATINGS),
        lambda: write(run, users.observe(everybody, *heads), "users", schemas.USERS),
        lambda: write(run, bad, "quarantine", schemas.QUARANTINE, "run_id"),
        lambda: write(run, delivery.indexed_movies, "movies", schemas.MOVIES),
        lambda: write(run, delivery.indexed_movies, "movie_index", schemas.MOVIE_INDEX),
    )
    delivery.ratings.rows.unpersist()
    counts = dict(rows.get)
    row_groups = max(conf.min_row_groups, counts["train"] // conf.row_group_rows)
    indexed = ratings.join(F.broadcast(users.select("user_id", "user_idx")), "user_id")
    dealt = with_seconds(shuffled(indexed, row_groups, conf.split_seed))
    counts |= {"users": everybody.get["users"]}
    rated = rated_movies(ratings, users, everybody.get["raters"] == counts["users"])
    *_, order = together(
        spark,
        lambda: write(run, dealt, "splits", schemas.INDEXED_RATINGS, "split"),
        lambda: write(run, rated, "rated", schemas.RATED),
        lambda: write(run, users, "user_index", schemas.USER_INDEX),
        lambda: write_histories(run, indexed, counts),
    )
    for kept in (*(file.rows for file in delivery.files), ratings, users):
        kept.unpersist()
    clean = sum(counts[split] for split in SPLITS)
    usable = delivery.ratings.lines - delivery.ratings.bad
    held_lines = (counts["held"] or 0) if layout.deletes else usable
    low, high = layout.rating_range or (counts["lowest"], counts["highest"])
    return {
        "lines": delivery.ratings.lines,
        "ratings": clean,
        "quarantined": sum(file.bad for file in delivery.files),
        "duplicates": held_lines - clean,
        **({"deleted": usable - held_lines} if layout.deletes else {}),
        "undated": counts["undated"],
        "users": counts["users"],
        "movies": delivery.movies.lines - delivery.movies.bad,
        **{split: counts[split] for split in SPLITS},
        **order,
        "layout": layout.ratings.name,
        "encoding": layout.encoding,
        "rating_min": low,
        "rating_max": high,
        "implicit": layout.implicit,
    }


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("etl") as figures:
        require_whole(run.raw)
        figures.update(etl(spark_session("etl", run.staging, run.raw), run))


if __name__ == "__main__":
    run_command(main)
