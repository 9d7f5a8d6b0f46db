"""The step that stops a bad delivery before anything is made of it."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from jobs import check
from jobs.published.delta import publish_files
from jobs.published.views import connect
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.schemas import CANDIDATES, MOVIES, RATINGS, RUNS, USERS, in_json
from jobs.runs.warehouse import Warehouse
from tests.jobs.examples import small_run, write


@pytest.fixture
def run(tmp_path: Path):
    """A run whose etl has finished: three ratings."""
    run = small_run(tmp_path)
    run.save()
    run.raw.mkdir(parents=True)
    for name in ("ratings.dat", "movies.dat"):
        (run.raw / name).touch()
    ratings = [(1, 10, 5, None, "train"), (1, 11, 1, None, "validation"), (2, 10, 3, None, "test")]
    write(run.data("ratings"), RATINGS, {}, ratings)
    write(run.data("movies"), MOVIES, {}, [(10, "A", 1999, []), (11, "B", None, [])])
    users = [(user, "F", 1, "artist", "0") for user in (1, 2)]
    write(run.data("users"), USERS, {}, users)
    run.data("quarantine").mkdir()
    with run.step("ingest"):
        pass
    with run.step("etl") as figures:
        figures.update(lines=3, duplicates=0, ratings=3, rating_min=1.0, rating_max=5.0)
    return run


def test_a_filter_that_cannot_be_meant_stops_the_run_before_it_trains(run):
    filtered = {"score.genres_in=[Western]": "no genre Western", "score.block_list=[7]": "movie 7"}
    for setting, sentence in filtered.items():
        conf = load_configuration([setting], warehouse=str(run.warehouse))
        replace(run, conf=conf).save()
        with pytest.raises(JobError, match=sentence):
            check.main(["--warehouse", str(run.warehouse), "--run-id", run.run_id])
    run.output("given_candidates").mkdir()
    write(run.output("given_candidates"), CANDIDATES, {}, [(1, 10), (5, 10)], "part-0.parquet")
    conf = load_configuration(["score.candidates=lists.csv"], warehouse=str(run.warehouse))
    replace(run, conf=conf).save()
    with pytest.raises(JobError, match=r"score.candidates: release ml-1m has no user 5\."):
        check.main(["--warehouse", str(run.warehouse), "--run-id", run.run_id])
    assert run.finished("check") is None


def publish_run(warehouse: Warehouse, ds: date, ratings: int) -> None:
    row = (ds, "ml-1m", ratings, 2, 2, 0, "1", True, 0.9, 0.7, 4, 1.0, None, "1", None, None, 0.0)
    folder = write(warehouse.folder / "source", RUNS, {"run_id": "before"}, [row])
    partition = {"run_id": "before"}
    publish_files(warehouse.table("runs"), folder, in_json(RUNS), ["run_id"], partition, {})


def test_the_step_writes_its_findings_and_passes(run):
    check.main(["--warehouse", str(run.warehouse), "--run-id", run.run_id])
    check.main(["--warehouse", str(run.warehouse), "--run-id", run.run_id])
    with connect(run.warehouse, ("quality",)) as tables:
        found = tables.sql("select count(*), count(distinct rule), bool_and(passed) from quality")
        assert found.fetchall() == [(10, 10, True)]


def test_a_shrunken_delivery_stops_the_run_and_stands_in_the_table(run):
    publish_run(run.warehouse, date(2026, 1, 1), 4)
    with pytest.raises(JobError, match=r"failed 1 of 10 rules.*\n.*share of the last run's: 0.75"):
        check.main(["--warehouse", str(run.warehouse), "--run-id", run.run_id])
    with connect(run.warehouse, ("quality",)) as tables:
        query = "select rule, figure, threshold, example from quality where not passed"
        [found] = tables.sql(query).fetchall()
    assert found[1:] == (0.75, 0.9, "3 ratings now, 4 before")
    assert run.finished("check") is None


def test_only_earlier_dates_are_compared_with(run):
    publish_run(run.warehouse, date(2026, 1, 3), 4)
    check.main(["--warehouse", str(run.warehouse), "--run-id", run.run_id])
