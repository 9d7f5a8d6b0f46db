"""Whether runs that scored chosen users count, question by question."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from jobs.engines.duck import write_few_rows
from jobs.published import runs_table
from jobs.published.delta import publish_files
from jobs.published.views import connect
from jobs.runs.errors import JobError
from jobs.runs.schemas import RUNS, columns_of, in_json
from jobs.runs.warehouse import Warehouse
from tests.jobs.examples import small_run

FIRST, SECOND, THIRD = (date(2026, 1, day) for day in (1, 2, 3))


@pytest.fixture
def warehouse(tmp_path):
    """Everybody was scored on the first day; on the second, five users, from newer data."""
    at = datetime(2026, 1, 9, tzinfo=UTC)
    for run_id, ds, ratings, users_scored in [("all", FIRST, 100, None), ("some", SECOND, 110, 5)]:
        told = {"run_id": run_id, "ds": ds, "release": "ml-1m", "ratings": ratings}
        told |= {"users_scored": users_scored, "finished_at": at, "model_version": "1"}
        row = [told.get(column) for column in columns_of(RUNS)]
        write_few_rows(tmp_path / run_id, "runs", [row])
        table, partition = tmp_path / "tables" / "runs", {"run_id": run_id}
        publish_files(table, tmp_path / run_id, in_json(RUNS), ["run_id"], partition, {})
    return Warehouse(tmp_path)


def test_they_do_not_count_for_the_rows_that_readers_see(warehouse):
    run = replace(small_run(warehouse.folder), ds=THIRD)
    assert runs_table.latest_run(connect(warehouse, ("runs",))).run_id == "all"
    assert runs_table.newest_date(warehouse) == FIRST
    assert runs_table.newest_other(run) == ("all", FIRST)


def test_they_count_for_the_data(warehouse):
    run = replace(small_run(warehouse.folder), ds=THIRD)
    before = runs_table.previous_run(run)
    assert before is not None
    assert (before.run_id, before.ratings) == ("some", 110)
    assert runs_table.previous_ratings(run) == 110
    assert runs_table.releases_of(warehouse, ["some"]) == {"ml-1m"}


def test_cleanup_keeps_the_newest_of_both(warehouse):
    assert runs_table.readers_runs(warehouse) == {"all", "some"}


def test_a_run_that_is_to_promote_a_model_of_order_alone_is_asked_too(warehouse):
    assert runs_table.published_last(warehouse, "ml-1m") is None
    told = {"run_id": "order", "ds": THIRD, "release": "ml-1m", "promoted": False}
    told |= {"candidate_version": "2", "finished_at": datetime(2026, 1, 8, tzinfo=UTC)}
    write_few_rows(
        warehouse.folder / "order", "runs", [[told.get(column) for column in columns_of(RUNS)]]
    )
    table, partition = warehouse.table("runs"), {"run_id": "order"}
    publish_files(table, warehouse.folder / "order", in_json(RUNS), ["run_id"], partition, {})
    assert runs_table.published_last(warehouse, "ml-1m") == "order"


def test_before_anything_is_published_there_is_no_answer(tmp_path):
    run = small_run(tmp_path)
    warehouse = Warehouse(tmp_path)
    assert runs_table.newest_date(warehouse) is None
    assert runs_table.newest_other(run) is runs_table.previous_run(run) is None
    assert runs_table.readers_runs(warehouse) == set()


def test_a_row_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="file/summary cannot be written: "):
        write_few_rows(tmp_path / "file" / "summary", "runs", [[None] * len(columns_of(RUNS))])
