"""Runs whose outputs all say their id, and publishes of them: which run is seen in which table."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from jobs.engines.duck import write_few_rows
from jobs.published import commit, whole
from jobs.published.views import connect
from jobs.runs.files import write_json
from jobs.runs.run import Run
from jobs.runs.schemas import PUBLISHED, RUNS, columns_of
from tests.jobs.examples import small_run, write

NOON = datetime(2026, 1, 9, 12, tzinfo=UTC)


def made(warehouse: Path, run_id: str, ds: str = "2026-01-02", hour: int = 0, **more) -> Run:
    """A run whose outputs all say its id."""
    run = replace(small_run(warehouse, run_id=run_id), ds=date.fromisoformat(ds), **more)
    run = replace(run, started_at=NOON + timedelta(hours=hour))
    run.save()
    write_json(run.record_file("plan"), {"train": False})
    rows = {
        "movies": (10, run_id),
        "users": (2, None, None, run_id),
        "ratings": (2, 10, 3.0, None, run_id),
        "quarantine": ("ratings.dat", 1, run_id, "?"),
    }
    for name, row in rows.items():
        partition = {"run_id": run_id} if name == "quarantine" else {}
        write(run.output(name), PUBLISHED[name][0], partition, [row])
    row = (2, 1, 10, run_id, 4.0, "model", "1", run_id, 4.0)
    write(run.output("scored"), PUBLISHED["recommendations"][0], {"ds": ds}, [row])
    row = (10, 1, 11, run_id, 0.5, "rating/1")
    write(run.output("similar_movies"), PUBLISHED["similar_movies"][0], {"ds": ds}, [row])
    return run


def publish(run: Run) -> None:
    """As the step does, without the audit."""
    with whole.publishing(run.warehouse):
        versions = commit.versions_after(run)
        told = {"run_id": run.run_id, "ds": run.ds, "release": run.release, "model_version": "1"}
        told |= {"started_at": run.started_at}
        told |= {"finished_at": run.started_at + timedelta(hours=2)}
        told |= {"versions": whole.in_json(versions), "data_run": run.data_run}
        row = [told.get(column) for column in columns_of(RUNS)]
        write_few_rows(run.output("summary"), "runs", [row])
        commit.commit(run, versions)


SEEN = """
    select (select max(title) from movies), (select max(occupation) from users),
        (select max(split) from ratings), (select max(reason) from quarantine),
        (select string_agg(title order by ds) from similar_movies),
        (select string_agg(run_id order by ds) from recommendations),
        (select max(run_id) from runs)
"""


def seen(run: Run) -> tuple:
    with connect(run.warehouse) as tables:
        [row] = tables.execute(SEEN).fetchall()
        return row


def of(name: str, dates: str | None = None) -> tuple:
    return (name, name, name, name, dates or name, dates or name, name)
