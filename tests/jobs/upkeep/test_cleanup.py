"""What cleanup removes, and above all what it leaves alone."""

import json
import os
import re
import shutil
import time
from urllib.parse import unquote

import pytest
from deltalake import DeltaTable

from jobs.published import delta
from jobs.runs.errors import JobError
from jobs.runs.files import is_held, write_json
from jobs.runs.schemas import QUARANTINE, in_json
from jobs.upkeep import cleanup, restore
from tests.jobs.examples import write

DAY = 24 * 3600
# A run id of Airflow, and names that Delta writes otherwise into its log.
RUN_IDS = ("scheduled__2026-03-01T02-00-00-00-00", "a b", "ä x=y+z", "it's", "50%25")


@pytest.fixture
def warehouse(tmp_path):
    return tmp_path / "Bob's wärehouse"


@pytest.fixture
def clean(warehouse, capfd):
    """Clean up; returns what the line of JSON counts, and the lines printed before it."""

    def cleaned(*argv):
        cleanup.main(["--warehouse", str(warehouse), "--json", *argv])
        *lines, counted = capfd.readouterr().out.splitlines()
        return json.loads(counted), lines

    return cleaned


def age(path, days):
    """Make a file, or a folder with all in it, look as old as that."""
    at = time.time() - days * DAY
    for each in (path, *path.rglob("*")):
        os.utime(each, (at, at))


def make_run(warehouse, name, days, ds="2026-01-02", release="ml-1m", published=False, **more):
    folder = warehouse / "runs" / name
    (folder / "steps").mkdir(parents=True)
    (folder / "ratings").write_bytes(b"x" * 1000)
    write_json(folder / "run.json", {"ds": ds, "release": release, **more})
    if published:
        write_json(folder / "steps" / "publish.json", {})
    age(folder, days)
    return folder


def names(folder):
    return {path.name for path in folder.iterdir()}


def publish(warehouse, run_id, lines):
    """Publish a version of quarantine, whose partition `run_id` holds these lines."""
    rows = [("ratings.dat", line, "reason", "content") for line in lines]
    source = write(warehouse / "source" / str(time.time_ns()), QUARANTINE, {"run_id": run_id}, rows)
    table, replace = warehouse / "tables" / "quarantine", {"run_id": run_id}
    delta.publish_files(table, source, in_json(QUARANTINE), ["run_id"], replace, {})


def age_table(warehouse, days):
    """Make each version, and its files, look as old as that."""
    table = warehouse / "tables" / "quarantine"
    for version, ago in enumerate(days):
        for file in live_files(table, version):
            age(file, max(days))
        file = table / "_delta_log" / f"{version:020d}.json"
        at = rf"\g<1>{int((time.time() - ago * DAY) * 1000)}"
        file.write_text(re.sub(r'("(?:timestamp|deletionTimestamp)":)\d+', at, file.read_text()))
    return table


def live_files(table, version=None):
    """The files of a version; in Delta's log, paths are URL-encoded."""
    paths = DeltaTable(table, version=version).get_add_actions()["path"].to_pylist()
    return {table / unquote(path) for path in paths}


def files_of(table):
    return {file for file in table.rglob("*.parquet") if "_delta_log" not in file.parts}


def test_which_runs_stay(clean, warehouse):
    make_run(warehouse, "newest", 2, data_run="base", base_run="taken over")
    make_run(warehouse, "taken over", 55)
    make_run(warehouse, "second", 3, data_run=None)
    make_run(warehouse, "third", 4)
    make_run(warehouse, "base", 50)
    make_run(warehouse, "published", 30, ds="2026-01-05", published=True, data_run="other base")
    make_run(warehouse, "other base", 60)
    # Published since, but for an earlier date: readers take theirs from the later one.
    make_run(warehouse, "backfilled", 20, ds="2026-01-03", published=True)
    make_run(warehouse, "sample", 40, release="sample", published=True)
    (make_run(warehouse, "working", 70) / "steps" / "etl.json").touch()
    (make_run(warehouse, "torn", 5) / "run.json").write_bytes(b"")
    age(warehouse / "runs" / "torn", 5)
    make_run(warehouse, "half", 5).joinpath("run.json").unlink()
    age(warehouse / "runs" / "half", 5)
    make_run(warehouse, "starting", 0).joinpath("run.json").unlink()
    stay = {
        "newest",
        "taken over",
        "second",
        "base",
        "published",
        "other base",
        "sample",
        "working",
        "starting",
    }
    counted, lines = clean("--keep-runs", "2")
    assert names(warehouse / "runs") == stay
    assert (counted["runs"], counted["staging"], counted["files"]) == (4, 0, 0)
    assert counted["bytes"] >= 3000
    assert any("runs/backfilled" in line for line in lines)
    assert lines[-1].startswith("Removed: runs 4, folders of scratch 0, fetched models 0, ")
    assert clean()[1] == [f"There is nothing to remove in {warehouse}."]


def test_a_killed_cleanup_leaves_no_half_of_a_run(clean, warehouse, monkeypatch):
    make_run(warehouse, "old", 9)

    def killed(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            clean("--keep-runs", "0")
    assert names(warehouse / "runs") == {".removed-old"}
    assert clean()[0]["staging"] == 1
    assert names(warehouse / "runs") == set()


def test_nobody_works_on_a_run_while_it_goes(clean, warehouse, monkeypatch):
    folder = make_run(warehouse, "old", 9)
    removed, held = shutil.rmtree, []

    def removing(path):
        held.append(is_held(path / ".lock"))
        removed(path)

    monkeypatch.setattr(shutil, "rmtree", removing)
    clean("--keep-runs", "0")
    assert held == [True]
    assert not folder.exists()


def test_what_a_killed_training_needs_to_go_on_outlives_tidy(warehouse, capsys):
    run = make_run(warehouse, "r", 0)
    staging = warehouse / "staging" / "r"
    tidy = ["--warehouse", str(warehouse), "--run-id", "r"]
    for name in ("checkpoints", "blocks"):
        (staging / name).mkdir(parents=True)
    (staging / "checkpoints" / "latest.pt").touch()
    (staging / "spec.json").touch()
    cleanup.tidy(tidy)
    assert names(staging) == {"checkpoints"}
    assert "train has not finished, and goes on from there" in capsys.readouterr().out
    write_json(run / "steps" / "train.json", {})
    write_json(run / "steps" / "evaluate.json", {"refits": True})
    cleanup.tidy(tidy)
    assert names(staging) == {"checkpoints"}
    assert "refit has not finished, and goes on from there" in capsys.readouterr().out
    write_json(run / "steps" / "refit.json", {})
    cleanup.tidy(tidy)
    assert not staging.exists()
    cleanup.tidy(tidy)


def test_scratch_goes_after_a_day_and_a_fetched_model_after_a_week(clean, warehouse):
    kept = ["staging/working/blocks", "raw/ml-1m/digest", "downloads/a.zip"]
    kept += ["mlartifacts/1/artifacts"]
    kept += ["models/used"]
    for folder in (*kept, "staging/killed/blocks", "models/unused"):
        (warehouse / folder).mkdir(parents=True)
    age(warehouse, 2)
    age(warehouse / "models/unused", 8)
    (warehouse / "staging/working/blocks/part").touch()
    counted, _ = clean()
    assert (counted["staging"], counted["models"]) == (1, 1)
    assert all((warehouse / folder).is_dir() for folder in kept)
    assert names(warehouse / "staging") == {"working"}
    assert names(warehouse / "models") == {"used"}


def test_live_files_stay_and_unused_ones_go(clean, warehouse):
    for line in (1, 2):
        for run_id in RUN_IDS:
            publish(warehouse, run_id, [line])
    table = age_table(warehouse, range(20, 10, -1))
    for folder in ("run_id=a b", "run_id=ö"):
        orphan = table / folder / "part-9-killed publish.parquet"
        orphan.parent.mkdir(exist_ok=True)
        orphan.touch()
        age(orphan, 8)
    fresh = table / "run_id=ö" / "part-9-publishing.parquet"
    fresh.touch()
    live = live_files(table)
    before = sorted(warehouse.rglob("*"))
    shown, _ = clean("--dry-run")
    assert sorted(warehouse.rglob("*")) == before
    counted, lines = clean()
    # Five were replaced, and two were never published.
    assert counted["files"] == 7
    assert shown == counted | {"dry_run": True}
    assert any("files of table quarantine: 7" in line for line in lines)
    assert len(live) == 5
    assert files_of(table) == live | {fresh}
    assert DeltaTable(table).version() == 9  # removing made no version
    assert clean()[0]["files"] == 0


def test_what_was_current_within_the_days_can_be_restored(clean, warehouse):
    for line in range(5):
        publish(warehouse, "r", [line])
    # Of the versions 0 to 4, the third was current until three days ago.
    table = age_table(warehouse, [30, 20, 10, 3, 2])
    assert clean()[0]["files"] == 2
    back = ["--warehouse", str(warehouse), "--table", "quarantine", "--apply", "--version"]
    with pytest.raises(JobError, match="cannot be restored: 1 of its 1 files are gone"):
        restore.main([*back, "1"])
    restore.main([*back, "2"])
    assert live_files(table) <= files_of(table)


def test_restored_and_replaced_again(clean, warehouse):
    """Delta's log then says of the file that it went long ago, and that it went yesterday."""
    for line in range(2):
        publish(warehouse, "r", [line])
    table = warehouse / "tables" / "quarantine"
    DeltaTable(table).restore(0)
    publish(warehouse, "r", [3])
    age_table(warehouse, [40, 30, 20, 1])
    restored = live_files(table, version=2)
    assert clean()[0]["files"] == 1
    assert restored | live_files(table) == files_of(table)


def test_longer_than_the_log_remembers(clean, warehouse):
    """A checkpoint leaves out what was replaced more than a week ago."""
    for line in range(3):
        publish(warehouse, "r", [line])
    table = age_table(warehouse, [60, 50, 10])
    DeltaTable(table).create_checkpoint()
    assert clean("--keep-days", "30")[0]["files"] == 1
    assert clean("--keep-days", "30")[0]["files"] == 0
    assert live_files(table, version=1) <= files_of(table)


def test_fewer_days_come_with_a_warning(clean, warehouse):
    for line in range(2):
        publish(warehouse, "r", [line])
    counted, lines = clean("--keep-days", "0")
    assert counted["files"] == 1
    assert lines[0].startswith("Warning: whoever still reads a version that was replaced more than")
    table = warehouse / "tables" / "quarantine"
    assert live_files(table) == files_of(table)


@pytest.mark.parametrize("argv", [[], ["--dry-run"]])
def test_an_empty_warehouse(clean, warehouse, argv):
    counted, lines = clean(*argv)
    assert lines == [f"There is nothing to remove in {warehouse}."]
    nothing = dict.fromkeys(("runs", "staging", "models", "files", "dates", "bytes"), 0)
    assert counted == nothing | {"dry_run": bool(argv)}
    assert not warehouse.exists()


@pytest.mark.parametrize("argv", ["--keep-days -1", "--keep-runs some", "--keep-days 1.5"])
def test_wrong_arguments(clean, argv):
    with pytest.raises(SystemExit):
        clean(*argv.split())
