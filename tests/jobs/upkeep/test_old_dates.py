"""Dates leave every table that has them."""

from datetime import date

from jobs.published.views import connect
from jobs.published.whole import publishing
from jobs.upkeep.old_dates import find_old_dates, remove_from_delta
from tests.jobs.published.small_publish import made, publish


def test_a_date_that_is_not_kept_leaves_the_tables(tmp_path):
    for day, run_id in enumerate("abc", 1):
        publish(run := made(tmp_path, run_id, f"2026-01-0{day}", hour=day))
    with publishing(run.warehouse):
        old = find_old_dates(run.warehouse, 2, None)
        assert old.delta == [date(2026, 1, 1)]
        remove_from_delta(run.warehouse, old)
    with connect(run.warehouse) as tables:
        left = [("b",), ("c",)]
        assert tables.sql("select run_id from recommendations order by 1").fetchall() == left
        assert tables.sql("select title from similar_movies order by 1").fetchall() == left
