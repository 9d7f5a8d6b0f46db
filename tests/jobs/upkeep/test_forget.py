"""Taking out a date whose run had a wrong clock."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.engines.duck import write_few_rows
from jobs.published.delta import publish_files
from jobs.published.runs_table import latest_run
from jobs.published.views import connect
from jobs.published.whole import publishing
from jobs.runs.command import refuse_future
from jobs.runs.errors import JobError
from jobs.runs.schemas import ALONE, PUBLISHED, RUNS, columns_of, in_json
from jobs.upkeep import forget
from tests.jobs.published.small_publish import made, of, publish, seen

AHEAD = "2031-01-02"


@pytest.fixture
def call(tmp_path, capsys):
    def called(*argv):
        forget.main(["--warehouse", str(tmp_path), *argv])
        return capsys.readouterr().out

    return called


@pytest.fixture
def night(tmp_path):
    """A good night, and one whose clock was years ahead."""
    publish(made(tmp_path, "good"))
    publish(run := made(tmp_path, "wrong", AHEAD, hour=1))
    assert seen(run) == of("wrong", "good,wrong")
    assert latest_run(connect(run.warehouse)).run_id == "wrong"
    return run


def test_a_date_is_taken_out_at_once(call, night):
    before = seen(night)
    printed = call("--ds", AHEAD)
    assert "movies: back to version 0" in printed
    assert f"date {AHEAD} of recommendations" in printed
    # No night had a shadow, and so there is no such table.
    assert "recommendations_shadow" not in printed
    assert printed.endswith("Nothing was changed: this was a dry run. To take it out: --apply\n")
    assert seen(night) == before
    call("--ds", AHEAD, "--apply")
    with connect(night.warehouse) as tables:
        assert tables.sql("select run_id from recommendations").fetchall() == [("good",)]
        assert tables.sql("select run_id from runs").fetchall() == [("good",)]
    assert seen(night) == of("good")
    with pytest.raises(JobError, match=f"Nothing is published for {AHEAD}"):
        call("--ds", AHEAD, "--apply")


@pytest.mark.parametrize("commits", range(6))
def test_who_is_stopped_while_taking_a_date_out_has_changed_nothing(
    call, night, monkeypatch, commits
):
    before, sync_commit, left = seen(night), forget.sync_commit, [commits]

    def dying(table, version):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        sync_commit(table, version)

    with monkeypatch.context() as patch:
        patch.setattr(forget, "sync_commit", dying)
        with pytest.raises(KeyboardInterrupt):
            call("--ds", AHEAD, "--apply")
    assert seen(night) == before
    with publishing(night.warehouse):
        assert seen(night) == before
    call("--ds", AHEAD, "--apply")
    assert seen(night) == of("good")


def test_later_nights_are_their_own_again(call, tmp_path, night):
    # A date that is yet to come holds no clean table, even before it is taken out.
    publish(made(tmp_path, "x-next", "2026-01-03", hour=2))
    assert seen(night)[0] == "x-next"
    call("--ds", AHEAD, "--apply")
    publish(made(tmp_path, "third", "2026-01-04", hour=3))
    assert seen(night)[0] == "third"
    assert latest_run(connect(night.warehouse)).run_id == "third"


def test_the_only_date_stays(call, tmp_path):
    publish(run := made(tmp_path, "wrong", AHEAD))
    with pytest.raises(JobError, match="All that table ratings ever held is of these runs"):
        call("--ds", AHEAD, "--apply")
    assert seen(run) == of("wrong")


def publish_as_once(run):
    """As before a publish was a decision: single commits, of which none names another."""
    for name, (ddl, partition_by) in PUBLISHED.items():
        source = {"recommendations": "scored", "runs": "summary"}.get(name, name)
        if name not in (*ALONE, "metrics", "recommendations_shadow"):
            partition = {"ds": f"{run.ds}", "run_id": run.run_id}
            replace = {column: partition[column] for column in partition_by}
            told = {"run_id": run.run_id, "ds": f"{run.ds}"}
            table = run.warehouse.table(name)
            publish_files(table, run.output(source), in_json(ddl), partition_by, replace, told)


@pytest.mark.parametrize("last", [publish_as_once, publish])
def test_a_warehouse_of_before_publishes_were_decisions_goes_back_too(call, tmp_path, last):
    for hour, (run_id, ds) in enumerate([("good", "2026-01-02"), ("wrong", AHEAD)]):
        run = made(tmp_path, run_id, ds, hour=hour)
        row = [{"run_id": run_id, "ds": run.ds}.get(column) for column in columns_of(RUNS)]
        write_few_rows(run.output("summary"), "runs", [row])
        (publish_as_once if run_id == "good" else last)(run)
    assert seen(run) == of("wrong", "good,wrong")
    call("--ds", AHEAD, "--apply")
    assert seen(run) == of("good")


def test_dates_that_are_yet_to_come_are_refused():
    today = datetime.now(UTC).date()
    refuse_future(today + timedelta(days=1))
    with pytest.raises(JobError, match="expected a date up to"):
        refuse_future(today + timedelta(days=2))
