"""Clean a delivery and prepare what training and scoring read.

    nightreel etl --run-id <run>

Reads the raw files of the run's release. Writes into the run's folder:

    ratings, movies, users   clean rows; every rating carries its split
    quarantine               lines that could not be used, with file, line and reason
    user_index, movie_index  id -> row number in Factors
    splits/split=...         ratings by row number, in shuffled, even row groups, per split
    rated                    every user's rated movies, whatever the split
    histories                every user's ratings in time order, with the split of order models

Where ratings lie in folders of days, only what has come since an earlier run is read, and what that
run has made of all other users is taken over: jobs/cleaning/growth.py.
"""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.cleaning.carrying import Carrying, carry
from jobs.cleaning.delivery import Delivery, own_test, quarantine, read_delivery
from jobs.cleaning.growth import Base, CannotGrow, Lines, find_base, has_days
from jobs.cleaning.model_inputs import with_index
from jobs.cleaning.outputs import (
    SPLITS,
    Cleaned,
    chosen_split,
    most_histories,
    order_figures,
    write,
    write_outputs,
)
from jobs.cleaning.ratings import newest, with_lines, with_time
from jobs.cleaning.splits import with_split
from jobs.cleaning.users import all_users
from jobs.engines.spark import spark_session
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

OF_RATINGS = ("user_id", "movie_id", "movie_idx", "rating", "rated_at", "split")
OF_LINES = ("user_id", "movie_id", "movie_idx", "rating", "rated_at", "block", "position")
OF_LINES += ("deleted", "lines")
# So many of the delivered ratings one task sorts.
PARTITION_ROWS = 2_000_000


def clean_ratings(
    rows: DataFrame, lines: int, run: Run, given_test: DataFrame | None = None
) -> tuple[DataFrame, DataFrame | None]:
    """The newest of usable ratings with a time, and their split; users and their movies in order.

    `lines` is about how many there are. Both results are cached; the second is None but where lines
    may delete: then it has also the newest of those users and movies whose rating is deleted.
    """
    cores = rows.sparkSession.sparkContext.defaultParallelism
    partitions = max(cores, lines // PARTITION_ROWS)

    def by_user(rows: DataFrame) -> DataFrame:
        return rows.repartitionByRange(partitions, "user_id")

    # A user's ratings together: then neither repeats nor lists of movies need another exchange.
    rows, last = newest(by_user(rows)), None
    if "deleted" in rows.columns:
        last = rows.cache()
        rows = last.filter("not deleted")
    rows = with_split(rows, run.conf.etl, given_test)
    # These deal by a join, which may move rows.
    rows = by_user(rows) if run.conf.etl.split in ("given", "kfold", "position") else rows
    named = [name for name in (*OF_RATINGS, "lines") if name in rows.columns]
    return rows.select(*named).sortWithinPartitions("user_id", "movie_id").cache(), last


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
    layout = detect_layout(run.raw, run.conf.ingest)
    print(f"etl: {layout}", flush=True)
    base, why = find_base(run, layout)
    if base:
        new, files = len(base.new), len(layout.ratings.files)
        named = f"run {base.run.run_id}"
        print(f"etl: {new:,} of {files:,} files have come since {named}, and are read", flush=True)
        try:
            with base.unchanged():
                figures = grow(spark, run, layout, base)
            return figures | {"grown_from": base.run.run_id}
        except CannotGrow as reason:
            why = str(reason)
    if has_days(layout):
        print(f"etl: all files are read: {why}", flush=True)
    return clean_all(spark, run, layout) | {"grown_from": None}


def clean_all(spark: SparkSession, run: Run, layout: Layout) -> dict[str, Any]:
    """Clean all that was delivered."""
    conf = run.conf.etl
    given_test = own_test(spark, run.raw, layout, conf.given) if conf.split == "given" else None
    delivery = read_delivery(spark, run, layout, lowest_published(run, layout))
    bad = quarantine(delivery.files, run.run_id)
    if delivery.ratings.bad == delivery.ratings.lines:
        write(run.folder, bad, "quarantine", schemas.QUARANTINE, "run_id")
        file, example = run.raw / layout.ratings.file, bad.first()
        first = "It holds no line"
        if example:
            first = f"First bad line: {example.file}, line {example.line}: {example.reason}"
        mine = " Ratings of your own have a name of their own, as in --dataset mine, and docs/"
        mine = f"{mine}your-own-data.md says how they are read." * (run.release in RELEASES)
        raise JobError(f"{file}: no usable rating. {first}.{mine}")

    usable = with_lines(with_time(delivery.ratings.usable, run.ds))
    ratings, last = clean_ratings(usable, delivery.ratings.lines, run, given_test)
    if layout.deletes and ratings.isEmpty():
        write(run.folder, bad, "quarantine", schemas.QUARANTINE, "run_id")
        raise JobError(
            f"{run.raw / layout.ratings.file}: no rating is left, for the newest line of every "
            "user and movie deletes it. ingest.columns.deleted says by which column; if that is "
            "another one, set it, and ingest again."
        )
    profiles = delivery.users.usable if delivery.users else None
    # Whoever has a usable rating has a clean one, of repeated ones one stays; but for deletions.
    raters = delivery.ratings.usable
    if layout.deletes:
        raters = raters.join(ratings.select("user_id").distinct(), "user_id", "left_semi")
    users = with_index(all_users(profiles, raters), "user").cache()
    cleaned = Cleaned(delivery, bad, ratings, users, last)
    counts, order = write_outputs(run, cleaned, run.folder, conf.order_split)
    return figures_of(layout, delivery, Lines.of(delivery.ratings), counts) | order


def figures_of(
    layout: Layout, delivery: Delivery, lines: Lines, counts: dict[str, Any]
) -> dict[str, Any]:
    """What etl's record says of ratings, users and movies."""
    clean = sum(counts[split] for split in SPLITS)
    usable = lines.lines - lines.bad
    held_lines = (counts["held"] or 0) if layout.deletes else usable
    others = [file.bad for file in delivery.files if file is not delivery.ratings]
    low, high = layout.rating_range or (counts["lowest"], counts["highest"])
    return {
        "lines": lines.lines,
        "ratings": clean,
        "quarantined": lines.bad + sum(others),
        "duplicates": held_lines - clean,
        **({"deleted": usable - held_lines} if layout.deletes else {}),
        "undated": counts["undated"],
        "users": counts["users"],
        "movies": delivery.movies.lines - delivery.movies.bad,
        **{split: counts[split] for split in SPLITS},
        "layout": layout.ratings.name,
        "encoding": layout.encoding,
        "rating_min": low,
        "rating_max": high,
        "implicit": layout.implicit,
        "growth": lines.recorded(),
    }


def known_rows(spark: SparkSession, earlier: Run, deletes: bool) -> DataFrame:
    """What an earlier run has found of users and movies, as lines that came before all others."""
    rows = spark.read.schema(schemas.RATINGS).parquet(str(earlier.data("ratings")))
    if deletes:
        repeats = spark.read.schema(schemas.REPEATS).parquet(str(earlier.data("repeats")))
        of_standing = repeats.filter("not deleted").select("user_id", "movie_id", "lines")
        rows = rows.join(of_standing, ["user_id", "movie_id"], "left")
        rows = rows.withColumns({"deleted": F.lit(False), "lines": F.coalesce("lines", F.lit(1))})
        gone = repeats.filter("deleted").withColumn("rating", F.lit(None).cast("float"))
        rows = rows.drop("split").unionByName(gone)
    return rows.withColumns({"block": F.lit(-1), "position": F.lit(0)})


def grow(spark: SparkSession, run: Run, layout: Layout, base: Base) -> dict[str, Any]:
    """Clean what has come since an earlier run, and take over what that has made of all else.

    Raises CannotGrow, with outputs half written, where all has to be cleaned after all.
    """
    earlier, conf = base.run, run.conf.etl
    delivery = read_delivery(spark, run, layout, lowest_published(run, layout), base)
    new, movies = delivery.ratings.usable, delivery.indexed_movies
    changed = new.select("user_id").distinct().cache()
    rows = with_lines(with_time(new, run.ds))
    rows = rows.select(*(each for each in OF_LINES if each in rows.columns))
    known = known_rows(spark, earlier, layout.deletes).join(F.broadcast(changed), "user_id")
    known = known.join(F.broadcast(movies.select("movie_id", "movie_idx")), "movie_id")
    rows = rows.unionByName(known.select(rows.columns))
    ratings, last = clean_ratings(rows, delivery.ratings.lines, run)

    users = spark.read.schema(schemas.USERS).parquet(str(earlier.data("users")))
    ids = [name for name in ("user_id", "source_user_id") if name in new.columns]
    raters = new.select(ids).unionByName(users.select(ids))
    gone = changed.join(ratings.select("user_id").distinct(), "user_id", "left_anti")
    raters = raters.join(F.broadcast(gone), "user_id", "left_anti")
    users = with_index(all_users(None, raters), "user").cache()
    bad = spark.read.schema(schemas.QUARANTINE).parquet(str(earlier.data("quarantine")))
    bad = bad.filter(F.col("file").isin(*base.files)).withColumn("run_id", F.lit(run.run_id))
    bad = bad.unionByName(quarantine(delivery.files, run.run_id)).coalesce(1)
    folder, split = run.staging / "changed", base.etl["order_split"]
    changed_ids = np.sort(changed.toArrow()["user_id"].to_numpy())
    cleaned = Cleaned(delivery, bad, ratings, users, last)
    counts, _ = write_outputs(run, cleaned, folder, split, row_groups=1)
    changed.unpersist()

    carrying = Carrying.between(earlier.folder, folder, run.folder, changed_ids, conf.split_seed)
    base.require_same_movies(len(carrying.movies.ids) > len(carrying.movies.ids_before))
    most_rows = {"ratings": PARTITION_ROWS, "rated": PARTITION_ROWS}
    most_rows["histories"] = most_histories(run, counts["users"])
    if layout.deletes:
        most_rows["repeats"] = PARTITION_ROWS
    counts |= carry(carrying, most_rows)
    counts["held"] = sum(counts[each] for each in SPLITS) + counts.get("replaced", 0)
    shutil.rmtree(folder)
    chosen = chosen_split(conf.order_split, counts)
    if chosen.split != split:
        raise CannotGrow(f"histories are now dealt by {chosen.split}, for {chosen.why}")
    lines = base.lines + Lines.of(delivery.ratings)
    return figures_of(layout, delivery, lines, counts) | order_figures(chosen, counts)


def main(argv: list[str] | None = None) -> None:
    """Run the step from the command line."""
    run = run_of(step_arguments(__doc__).parse_args(argv))
    with run.step("etl") as figures:
        require_whole(run.raw)
        figures.update(etl(spark_session("etl", run.staging, run.raw), run))


if __name__ == "__main__":
    run_command(main)
