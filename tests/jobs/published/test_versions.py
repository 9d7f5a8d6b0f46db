"""Reading the tables as they were: by version, by time, and what cannot be read any more."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.published.delta import file_paths, publish_files
from jobs.published.views import connect
from jobs.questions import history, query
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.runs.warehouse import Warehouse
from tests.jobs.examples import set_time, write

FINISHED = datetime(2026, 11, 23, tzinfo=UTC)


def publish(warehouse, table, rows, run_id, partition=None):
    ddl, partition_by = PUBLISHED[table]
    source = write(warehouse / "runs" / run_id / table, ddl, partition or {}, rows)
    folder = warehouse / "tables" / table
    metadata = {"run_id": run_id, "model_version": run_id}
    return publish_files(folder, source, in_json(ddl), partition_by, partition or {}, metadata)


# Version 0 was published between 02:00 and 02:02; versions 1 and 2 replaced the rows of their date.
RUNS = [("a", "2026-11-22", "T02:0"), ("b", "2026-11-23", "T02:0"), ("c", "2026-11-23", "T03:0")]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """Three publishes; a run and its movie have one name, of the last all movies are gone."""
    folder = tmp_path_factory.mktemp("warehouse")
    publish(folder, "users", [(2, None, None, None, None)], "a")
    set_time(folder / "tables" / "users", 0, "2026-11-22T02:00")
    for run_id, ds, hour in RUNS:
        titles = [(10, run_id, 1999, ["Drama"])] if run_id != "c" else []
        rows = [(2, 1, 10, run_id, 4.0, "model", run_id, run_id, 4.0)]
        run = (date.fromisoformat(ds), "ml-1m", 4, 3, 3, 0, run_id, True, 0.9, 0.7, 1, 6.0)
        for minute, (table, rows_of, partition) in enumerate(
            [
                ("movies", titles, None),
                ("recommendations", rows, {"ds": ds}),
                ("runs", [(*run, FINISHED, run_id, None, None, 0.0)], {"run_id": run_id}),
            ]
        ):
            version = publish(folder, table, rows_of, run_id, partition)
            set_time(folder / "tables" / table, version, f"{ds}{hour}{minute}")
    return folder


@pytest.fixture
def ask(warehouse, capfd):
    def call(command, *argv):
        command([*argv, "--warehouse", str(warehouse)])
        return capfd.readouterr().out

    return call


NAMES = """
    select (select max(title) from movies), (select string_agg(run_id order by ds) from
    recommendations), (select string_agg(run_id order by run_id) from runs)
"""


@pytest.mark.parametrize(
    ("at", "found"),
    [
        (0, ("a", "a", "a")),
        (1, ("b", "a,b", "a,b")),
        (2, (None, "a,c", "a,b,c")),
        ("2026-11-22T02:01", ("a", "a", None)),  # between two commits of a publish
        ("2026-11-22T23:59", ("a", "a", "a")),
        ("2026-11-23T02:30", ("b", "a,b", "a,b")),
        ("2026-11-24", (None, "a,c", "a,b,c")),
    ],
)
def test_all_tables_as_they_were(warehouse, at, found):
    moment = at if isinstance(at, int) else datetime.fromisoformat(at).replace(tzinfo=UTC)
    if found[2] is None:
        with pytest.raises(JobError, match="runs has no version of 2026-11-22 02:01 UTC"):
            connect(Warehouse(warehouse), ("runs",), moment)
        tables = connect(Warehouse(warehouse), at=moment)
        assert tables.sql("select name from (show tables)").fetchall() == [
            ("movies",),
            ("recommendations",),
            ("users",),
        ]
        return
    assert connect(Warehouse(warehouse), at=moment).sql(NAMES).fetchall() == [found]


def test_commands_go_back(ask):
    count = "select count(*) from recommendations"
    assert ask(query.sql, "--csv", "--at", "0", count) == "count_star()\n1\n"
    assert ask(query.sql, "--csv", "--at", "2026-11-23T05:00+01:00", count).endswith("\n2\n")
    printed = ask(query.recommend, "--user", "2", "--at", "1")
    assert "2 of 2026-11-23, model" in printed
    assert "Drama" in printed
    printed = ask(query.recommend, "--user", "2", "--at", "2", "--ds", "2026-11-22")
    assert "2 of 2026-11-22, model" in printed
    lines = [line.split() for line in ask(history.main).splitlines()]
    assert ["2", "2026-11-23", "03:01:00", "c", "c", "WRITE", "2", "yes"] in lines
    assert "Only the newest 1 of 3 are shown" in ask(history.main, "--limit", "1")


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("3", r"recommendations has no version 3\. Its versions are 0 to 2, the oldest of 2026-11"),
        ("2026-11-21", r"published in .* by 2026-11-21 23:59 UTC: the oldest .* is of 2026-11-2"),
    ],
)
def test_there_is_no_such_version(ask, at, message):
    with pytest.raises(JobError, match=message):
        ask(query.sql, "--at", at, "from recommendations")


@pytest.mark.parametrize("at", ["soon", "-1", "2026-11-31", "1.5"])
def test_neither_a_version_nor_a_time(at, capsys):
    with pytest.raises(SystemExit):
        query.sql([f"--at={at}", "from recommendations"])
    assert "expected a version, or 2026-11-23 or 2026-11-23T02:00" in capsys.readouterr().err


def test_a_version_whose_files_were_removed(ask, warehouse):
    old = DeltaTable(warehouse / "tables" / "recommendations", version=1)
    [file] = [Path(file) for file in file_paths(old) if "11-23" in file]
    away = file.rename(file.with_suffix(".away"))
    try:
        with pytest.raises(JobError, match=r"Version 1 .* cannot be read: 1 of its 2 files"):
            ask(query.recommend, "--user", "2", "--at", "1")
        lines = [line.split() for line in ask(history.main).splitlines() if "2026-11" in line]
        assert [line[-1] for line in lines] == ["yes", "no", "yes"]
    finally:
        away.rename(file)
