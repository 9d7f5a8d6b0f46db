"""Usable lines become clean ratings; and what etl's record says of it."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from jobs.cleaning.base import Lines
from jobs.cleaning.delivery import Delivery
from jobs.cleaning.outputs import SPLITS
from jobs.cleaning.ratings import newest
from jobs.cleaning.splits import with_split
from jobs.release.layouts import Layout
from jobs.runs.run import Run

OF_RATINGS = ("user_id", "movie_id", "movie_idx", "rating", "rated_at", "split")
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
