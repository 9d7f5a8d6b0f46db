"""Only what has come since an earlier run is cleaned; of all else its clean data is taken over.

What is cleaned are new lines, together with all that is known of their users: a user's ratings
follow from that user's lines alone.
"""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.cleaning.base import Base, CannotGrow, Lines
from jobs.cleaning.carrying import Carrying, carry, ids_of
from jobs.cleaning.clean import (
    OF_RATINGS,
    PARTITION_ROWS,
    clean_ratings,
    figures_of,
)
from jobs.cleaning.delivery import quarantine, read_delivery
from jobs.cleaning.model_inputs import with_index
from jobs.cleaning.outputs import (
    SPLITS,
    Cleaned,
    chosen_split,
    most_histories,
    order_figures,
    write_outputs,
)
from jobs.cleaning.ratings import with_lines, with_time
from jobs.cleaning.source_ids import SourceIds
from jobs.cleaning.users import all_users
from jobs.release.layouts import Layout
from jobs.runs import schemas
from jobs.runs.run import Run

OF_LINES = (*OF_RATINGS[:-1], "block", "position", "deleted", "lines")


def grow(
    spark: SparkSession, run: Run, layout: Layout, given: dict[str, int], base: Base
) -> dict[str, Any]:
    """Do so; returns the figures of etl, which are those of all lines. `given`: see read_delivery.

    Raises CannotGrow, with outputs half written, where all has to be cleaned after all.
    """
    earlier, conf = base.run, run.conf.etl
    ids_before = {entity: ids_of(earlier.folder, entity) for entity in ("user", "movie")}
    for entity, ids in ids_before.items():
        lowest = SourceIds(run.warehouse.source_ids(run.release, entity)).lowest
        if layout.ids_of(entity) != "int" and ids.min() < lowest:
            name = f"run {earlier.run_id}"
            raise CannotGrow(f"the index of ids of {entity}s does not know those of {name}")
    delivery = read_delivery(spark, run, layout, given, base)
    new, movies = delivery.ratings.usable, delivery.indexed_movies
    base.require_room(delivery.ratings.lines)
    named = movies.select("movie_id").toArrow()["movie_id"].to_pylist()
    base.require_movies(layout, ids_before["movie"].tolist(), named)
    changed = new.select("user_id").distinct().cache()
    rows = with_lines(with_time(new, run.ds))
    rows = rows.select(*(name for name in OF_LINES if name in rows.columns))
    known = known_rows(spark, earlier, layout.deletes).join(F.broadcast(changed), "user_id")
    known = known.join(F.broadcast(movies.select("movie_id", "movie_idx")), "movie_id")
    # Looked at twice: to find ranges of users, and to deal rows to them.
    rows = rows.unionByName(known.select(*rows.columns)).cache()
    ratings, last = clean_ratings(rows, delivery.ratings.lines, run)

    users = spark.read.schema(schemas.USERS).parquet(str(earlier.data("users")))
    named_by = [name for name in ("user_id", "source_user_id") if name in new.columns]
    gone = changed.join(ratings.select("user_id").distinct(), "user_id", "left_anti")
    raters = new.select(*named_by).unionByName(users.select(*named_by))
    raters = raters.join(F.broadcast(gone), "user_id", "left_anti")
    users = with_index(all_users(None, raters), "user").cache()
    bad = spark.read.schema(schemas.QUARANTINE).parquet(str(earlier.data("quarantine")))
    # All other files were read again.
    again = base.layout.movies.files if base.layout.movies else ()
    bad = bad.filter(~F.col("file").isin(*again)).withColumn("run_id", F.lit(run.run_id))
    bad = bad.unionByName(quarantine(delivery.files, run.run_id)).coalesce(1)
    changed_ids = np.sort(changed.toArrow()["user_id"].to_numpy())
    cleaned = Cleaned(delivery, bad, ratings, users, last)
    folder, split = run.staging / "changed", base.etl["order_split"]
    counts, _ = write_outputs(run, cleaned, folder, split, row_groups=1)
    for kept in (changed, rows):
        kept.unpersist()

    carrying = Carrying.between(earlier.folder, folder, run.folder, changed_ids, conf.split_seed)
    in_order = ("ratings", "rated", "histories", *(["repeats"] if layout.deletes else []))
    most_rows = dict.fromkeys(in_order, PARTITION_ROWS)
    counts |= carry(carrying, most_rows | {"histories": most_histories(run, counts["users"])})
    counts["held"] = sum(counts[each] for each in SPLITS) + counts.get("replaced", 0)
    shutil.rmtree(folder)
    chosen = chosen_split(conf.order_split, counts)
    if chosen.split != split:
        raise CannotGrow(f"histories are now dealt by {chosen.split}, for {chosen.why}")
    lines = base.lines + Lines.of(delivery.ratings)
    return figures_of(layout, delivery, lines, counts) | order_figures(chosen, counts)


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
