"""Putting an earlier version of a table back: what it shows, does and refuses."""

import json
import shlex
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from jobs.published import delta
from jobs.published.views import view_of
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.runs.warehouse import Warehouse
from jobs.upkeep import restore
from tests.jobs.examples import set_time, write


def publish(warehouse, table, rows, partition=None, run_id="r"):
    ddl, partition_by = PUBLISHED[table]
    source = write(warehouse / "runs" / f"{run_id}-{len(rows)}", ddl, partition or {}, rows)
    metadata = {"run_id": run_id, "model_version": "7"}
    folder = warehouse / "tables" / table
    delta.publish_files(folder, source, in_json(ddl), partition_by, partition or {}, metadata)


def recommended(count):
    return [(2, rank, rank, "Alien", 4.0, "model", "7", "r", 4.0) for rank in range(1, count + 1)]


@pytest.fixture
def warehouse(tmp_path):
    """Recommendations in three versions; the last replaces one row of the 23rd by three."""
    folder = tmp_path / "Bob's wärehouse"
    for ds, count, run_id in (
        ("2026-11-22", 2, "a"),
        ("2026-11-23", 1, "b"),
        ("2026-11-23", 3, "c"),
    ):
        publish(folder, "recommendations", recommended(count), {"ds": ds}, run_id)
    return folder


@pytest.fixture
def call(warehouse, capfd):
    """Restore in the warehouse; returns the lines printed, as lists of cells."""

    def restored(*argv, table="recommendations"):
        restore.main(["--table", table, "--warehouse", str(warehouse), *argv])
        lines = capfd.readouterr().out.splitlines()
        return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]

    return restored


def table_of(warehouse, name="recommendations"):
    return DeltaTable(warehouse / "tables" / name)


def counts(warehouse):
    connection = duckdb.connect()
    view = view_of(connection, table_of(warehouse))
    query = f"select cast(ds as text), count(*) from ({view}) group by ds"
    return dict(connection.execute(query).fetchall())


def test_a_dry_run_shows_and_writes_nothing(call, warehouse):
    before = sorted(warehouse.rglob("*"))
    lines = call("--json")
    assert sorted(warehouse.rglob("*")) == before
    assert [line[0] for line in lines if line[-1:] == ["WRITE"]] == ["2", "1"]
    assert any(line[0] == "2" and line[2:4] == ["c", "7"] for line in lines if line)
    assert ["ds=2026-11-23", "3", "1"] in lines
    assert ["unchanged: 1", "2", "2"] in lines
    assert json.loads(lines[-1][0]) == {
        "table": "recommendations",
        "dry_run": True,
        "from_version": 2,
        "restored_version": 1,
        "version": None,
        "rows": 3,
    }
    sentence = lines[-2][0]
    assert sentence.startswith("Nothing was changed: this was a dry run.")
    restore.main(shlex.split(sentence.partition("nightreel restore ")[2]))
    assert counts(warehouse) == {"2026-11-22": 2, "2026-11-23": 1}


def test_a_restore_is_a_commit_that_can_be_undone(call, warehouse):
    lines = call("--apply", "--json")
    assert json.loads(lines[-1][0])["version"] == 3
    assert counts(warehouse) == {"2026-11-22": 2, "2026-11-23": 1}
    [commit] = table_of(warehouse).history(1)
    assert (commit["operation"], commit["restored_version"]) == ("RESTORE", "1")
    # The version before this one, whatever made it.
    lines = call("--apply")
    assert any(line[0] == "3" and line[-1] == "RESTORE 1" for line in lines if line)
    assert counts(warehouse) == {"2026-11-22": 2, "2026-11-23": 3}
    call("--version", "0", "--apply")
    assert counts(warehouse) == {"2026-11-22": 2}
    publish(warehouse, "recommendations", recommended(1), {"ds": "2026-11-24"})
    assert counts(warehouse) == {"2026-11-22": 2, "2026-11-24": 1}


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2026-11-22", 0),
        ("2026-11-23", 1),  # the whole day
        ("2026-11-23T02:00", 1),
        ("2026-11-23T01:59", 0),
        ("2026-11-23T04:00+02:00", 1),
    ],
)
def test_the_version_of_a_moment(call, warehouse, at, version):
    times = "2026-11-22T02:00", "2026-11-23T02:00", "2026-11-24T00:00"
    for number, time in enumerate(times):
        set_time(warehouse / "tables" / "recommendations", number, time)
    assert json.loads(call("--at", at, "--json")[-1][0])["restored_version"] == version
    with pytest.raises(JobError, match=r"no version of 2026-11-21 23:59 UTC\. .* are 0 to 2, "):
        call("--at", "2026-11-21")


def test_a_run_that_publishes_first_does_not_change_the_target(call, warehouse, monkeypatch):
    @contextmanager
    def after_another_run(_):
        publish(warehouse, "recommendations", recommended(4), {"ds": "2026-11-23"}, "d")
        yield

    monkeypatch.setattr(Warehouse, "publish_lock", after_another_run)
    done = json.loads(call("--apply", "--json")[-1][0])
    assert (done["from_version"], done["restored_version"], done["version"]) == (3, 1, 4)
    assert counts(warehouse) == {"2026-11-22": 2, "2026-11-23": 1}


def test_a_table_without_partitions(call, warehouse):
    for titles in (["A", "B"], ["C"], []):
        publish(warehouse, "movies", [(1, title, 1999, ["Drama"]) for title in titles])
    assert ["all rows", "0", "2"] in call("--version", "0", "--apply", table="movies")
    assert table_of(warehouse, "movies").count() == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--table=movies", r"no table movies in .* yet"),
        ("--version 99", r"recommendations has no version 99\. Its versions are 0 to 2"),
        ("--version -1", r"has no version -1\."),
        ("--version 2", "Version 2 .* is what readers see already, as version 2"),
        ("--at 2999-01-01", "Version 2 .* is what readers see already"),
    ],
)
def test_refusals_change_nothing(call, warehouse, argv, message):
    with pytest.raises(JobError, match=message):
        call(*argv.split(), "--apply")
    assert table_of(warehouse).version() == 2


def test_nothing_comes_before_the_first_version(call, warehouse):
    publish(warehouse, "movies", [])
    with pytest.raises(JobError, match=r"movies has no earlier version\. Its versions are 0 to 0"):
        call("--apply", table="movies")


def test_a_restore_tried_again_after_its_commit_does_nothing(call, warehouse):
    for _ in range(2):
        call("--version", "0", "--from-version", "2", "--apply")
    assert table_of(warehouse).version() == 3
    with pytest.raises(JobError, match=r"Version 0 .* is what readers see already, as version 3"):
        call("--version", "0", "--apply")


def test_what_was_published_since_the_preview_is_not_undone(call, warehouse):
    with pytest.raises(JobError, match=r"from version 1, and is at 2 now \(by run .*\)"):
        call("--version", "0", "--from-version", "1", "--apply")
    assert table_of(warehouse).version() == 2


@pytest.mark.parametrize("ds", ["2026-11-22", "2026-11-23"])  # the first is still read, too
def test_a_version_without_its_files_is_refused(call, warehouse, ds):
    old = DeltaTable(warehouse / "tables" / "recommendations", version=1)
    [file] = [file for file in delta.file_paths(old) if ds in file]
    Path(file).unlink()
    with pytest.raises(
        JobError, match=r"Version 1 .* cannot be restored: 1 of its 2 files are gone"
    ):
        call("--apply")
    assert table_of(warehouse).version() == 2


@pytest.mark.parametrize("argv", ["--at soon", "--at 2026-11-31", "--version 1 --at 2026-11-23"])
def test_wrong_arguments(call, argv):
    with pytest.raises(SystemExit):
        call(*argv.split())
