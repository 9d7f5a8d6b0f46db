"""All lines of a delivery are cleaned, whatever an earlier run has made of them."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from jobs.cleaning.base import Lines
from jobs.cleaning.clean import clean_ratings, figures_of
from jobs.cleaning.delivery import own_test, quarantine, read_delivery
from jobs.cleaning.model_inputs import with_index
from jobs.cleaning.outputs import Cleaned, order_figures, write, write_outputs
from jobs.cleaning.ratings import with_lines, with_time
from jobs.cleaning.users import all_users
from jobs.release.layouts import Layout
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.settings.delivery import RELEASES


def clean_all(
    spark: SparkSession, run: Run, layout: Layout, given: dict[str, int]
) -> dict[str, Any]:
    """Clean all that was delivered; `given` is as in read_delivery."""
    conf = run.conf.etl
    given_test = own_test(spark, run.raw, layout, conf.given) if conf.split == "given" else None
    delivery = read_delivery(spark, run, layout, given)
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
    figures = figures_of(layout, delivery, Lines.of(delivery.ratings), counts)
    return figures | order_figures(*order)
