"""A publish is one decision: readers see all of it or nothing, however it ends."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable

from jobs.engines.duck import parquet_files
from jobs.published import commit, delta, runs_table, whole
from jobs.published.log import commit_file, newest_version
from jobs.published.views import connect
from jobs.runs import files as run_files
from jobs.runs.errors import JobError
from jobs.runs.run import Run
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.upkeep import restore
from tests.jobs.examples import write
from tests.jobs.published.small_publish import made, of, publish, seen

TABLES = ("movies", "users", "ratings", "quarantine", "similar_movies", "recommendations", "runs")


class Killed(BaseException):
    """Nothing after it runs: see `dying`."""


REMOVE_TREE = shutil.rmtree


def die_removing(folder: Path, ignore_errors: bool = False) -> None:
    """In place of shutil.rmtree; what an earlier attempt left is removed first."""
    if not ignore_errors:
        raise Killed
    REMOVE_TREE(folder, ignore_errors)


def dying(monkeypatch, table: str, before: bool) -> None:
    """Have the next publish die before or after the commit of a table, as by SIGKILL."""
    commit_files = delta.commit_files

    def committed(placed, metadata):
        if before and placed.table.name == table:
            raise Killed
        version = commit_files(placed, metadata)
        if placed.table.name == table:
            raise Killed
        return version

    def nothing(*_):
        pass

    monkeypatch.setattr(commit, "commit_files", committed)
    monkeypatch.setattr(commit, "settle", nothing)
    monkeypatch.setattr(delta.Placed, "remove", nothing)


def placed_files(run: Run) -> set[Path]:
    return {f for f in run.warehouse.tables.rglob("part-*.parquet") if "_delta_log" not in f.parts}


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("table", TABLES)
def test_readers_see_all_of_a_killed_publish_or_nothing(tmp_path, monkeypatch, table, before):
    publish(made(tmp_path, "a"))
    run = made(tmp_path, "b", hour=1)
    files = placed_files(run)
    with monkeypatch.context() as patch:
        dying(patch, table, before)
        with pytest.raises(Killed):
            publish(run)
    done = (table, before) == ("runs", False)
    assert seen(run) == of("b" if done else "a")
    # Another run of another date: what it commits does not carry along what was never decided.
    publish(made(tmp_path, "c", "2026-01-03", hour=2))
    assert seen(run) == of("c", "b,c" if done else "a,c")
    if table == "movies" and before:
        assert len(placed_files(run) - files) == len(TABLES)  # those of c alone
    publish(run := made(tmp_path, "b", hour=3))
    assert connect(run.warehouse).sql("select distinct run_id from runs order by 1").fetchall() == [
        ("a",), ("b",), ("c",)
    ]  # fmt: skip


def test_an_earlier_date_leaves_clean_tables_after_a_killed_publish_too(tmp_path, monkeypatch):
    publish(made(tmp_path, "newer", "2026-01-05"))
    with monkeypatch.context() as patch:
        dying(patch, "recommendations", before=True)
        with pytest.raises(Killed):
            publish(made(tmp_path, "killed", "2026-01-06", hour=1))
    publish(run := made(tmp_path, "late", "2026-01-02", hour=2))
    assert seen(run)[:3] == ("newer", "newer", "newer")


def test_a_killed_first_publish_shows_nothing(tmp_path, monkeypatch):
    run = made(tmp_path, "a")
    with monkeypatch.context() as patch:
        dying(patch, "recommendations", before=False)
        with pytest.raises(Killed):
            publish(run)
    with pytest.raises(JobError, match="There is no table movies in"):
        connect(run.warehouse, ("movies",))
    publish(run)
    assert seen(run) == of("a")
    assert newest_version(run.warehouse.table("movies")) == 0


def test_who_is_killed_while_taking_a_first_publish_back_leaves_nothing_in_the_way(
    tmp_path, monkeypatch
):
    run = made(tmp_path, "a")
    for _ in range(2):
        with monkeypatch.context() as patch:
            dying(patch, "movies", before=False)
            with pytest.raises(Killed):
                publish(run)
        with monkeypatch.context() as patch:
            patch.setattr(whole.shutil, "rmtree", die_removing)
            with pytest.raises(Killed), whole.publishing(run.warehouse):
                pass
    publish(run)
    assert seen(run) == of("a")


def test_a_version_that_nobody_was_shown_cannot_be_asked_for(tmp_path, monkeypatch):
    publish(made(tmp_path, "a"))
    run = made(tmp_path, "b", hour=1)
    with monkeypatch.context() as patch:
        dying(patch, "recommendations", before=False)
        with pytest.raises(Killed):
            publish(run)
    with pytest.raises(JobError, match="Version 1 of table recommendations is of a publish that"):
        connect(run.warehouse, at=1)
    publish(run)
    assert connect(run.warehouse, at=0).sql("select run_id from runs").fetchall() == [("a",)]
    newest = newest_version(run.warehouse.table("recommendations"))
    assert connect(run.warehouse, at=newest).sql("select title from movies").fetchall() == [("b",)]


def test_what_is_published_is_the_run_s_own_files(tmp_path):
    run = made(tmp_path, "a")
    publish(run)
    [file] = parquet_files(run.output("movies"))
    [published] = run.warehouse.table("movies").glob("*.parquet")
    assert published.samefile(file)
    # Who makes the run's file again takes its place.
    write(run.output("movies"), PUBLISHED["movies"][0], {}, [(10, "other")])
    assert seen(run) == of("a")


def test_a_full_disk_leaves_nothing_behind_and_names_what_was_written(tmp_path, monkeypatch):
    """On a file system without hard links."""
    publish(made(tmp_path, "a"))
    run = made(tmp_path, "b", hour=1)
    before = sorted(run.warehouse.tables.rglob("*"))
    copyfile = shutil.copyfile

    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    def full(source, target):
        if "recommendations" in str(target):
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", source)
        return copyfile(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "hardlink_to", no_links)
        patch.setattr(run_files.shutil, "copyfile", full)
        with pytest.raises(OSError, match="No space left") as raised:
            publish(run)
    assert raised.value.filename.startswith(str(run.warehouse.table("recommendations")))
    assert sorted(run.warehouse.tables.rglob("*")) == before
    publish(run)
    assert seen(run) == of("b")


def test_a_commit_that_fails_is_taken_back_at_once(tmp_path, monkeypatch):
    publish(made(tmp_path, "a"))
    run = made(tmp_path, "b", hour=1)
    commit_files = delta.commit_files

    def failing(placed, metadata):
        if placed.table.name == "runs":
            raise OSError(errno.ENOSPC, "No space left on device", "the log")
        return commit_files(placed, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(commit, "commit_files", failing)
        with pytest.raises(OSError, match="No space left"):
            publish(run)
    assert seen(run) == of("a")
    # So do plain readers of Delta.
    assert delta.history(run.warehouse.table("movies"))[0].operation == "RESTORE 0"


@pytest.mark.parametrize("torn", [b"", b'{"commitInfo":{"timestamp":17'])
@pytest.mark.parametrize("tables", [TABLES, ("runs",), ("movies", "recommendations", "runs")])
def test_what_a_power_failure_leaves_torn_counts_as_not_written(tmp_path, capsys, torn, tables):
    """The newest commits are empty or torn, and so are the files that they name."""
    publish(made(tmp_path, "a"))
    run = made(tmp_path, "b", hour=1)
    before = placed_files(run)
    publish(run)
    for name in tables:
        commit_file(run.warehouse.table(name), 1).write_bytes(torn)
    for file in placed_files(run) - before:
        if file.relative_to(run.warehouse.tables).parts[0] in tables:
            # What a step has written was on disk when it ended: its own name keeps the content.
            file.unlink()
            file.write_bytes(b"")
    assert seen(run) == of("a")
    assert connect(run.warehouse, at=0).sql("select run_id from runs").fetchall() == [("a",)]
    publish(run)
    assert seen(run) == of("b")
    assert "it counts as not written, and is removed" in capsys.readouterr().out


def test_a_torn_checkpoint_is_removed(tmp_path):
    run = made(tmp_path, "a")
    publish(run)
    table = run.warehouse.table("movies")
    DeltaTable(table).create_checkpoint()
    for file in (
        *table.glob("_delta_log/*.checkpoint.parquet"),
        table / "_delta_log/_last_checkpoint",
    ):
        file.write_bytes(b"")
    publish(run)
    assert seen(run) == of("a")
    assert not list(table.glob("_delta_log/*checkpoint*"))


def test_the_hundredth_commit_makes_a_checkpoint_that_is_on_disk(tmp_path):
    source = write(tmp_path / "source", PUBLISHED["movies"][0], {}, [(1, "A")])
    table = tmp_path / "tables" / "movies"
    for version in range(100):
        schema = in_json(PUBLISHED["movies"][0])
        assert delta.publish_files(table, source, schema, [], {}, {}) == version
        assert (table / "_delta_log/_last_checkpoint").is_file() == (version == 99)


def test_everything_is_on_disk_before_what_points_to_it(tmp_path, monkeypatch):
    """The files of all tables before the first commit, each commit before the next."""
    publish(made(tmp_path, "a"))
    run = made(tmp_path, "b", hour=1)
    happened: list[tuple[str, str]] = []
    fsync, create = os.fsync, DeltaTable.create_write_transaction

    def synced(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_relative_to(run.warehouse.tables):
            happened.append(("synced", str(path.relative_to(run.warehouse.tables))))
        fsync(descriptor)

    def committed(self, *arguments, **named):
        happened.append(("committed", Path(self.table_uri.rstrip("/")).name))
        create(self, *arguments, **named)

    before = placed_files(run)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", committed)
    publish(run)
    first = next(i for i, (what, _) in enumerate(happened) if what == "committed")
    on_disk = {path for _, path in happened[:first]}
    for file in placed_files(run) - before:
        for path in (file, *file.parents):
            if path.is_relative_to(run.warehouse.tables):
                assert str(path.relative_to(run.warehouse.tables)) in on_disk
    order = [(what, name) for what, name in happened[first:] if not name.startswith(".")]
    expected = []
    for table in TABLES:
        log = f"{table}/_delta_log"
        expected += [("committed", table), ("synced", f"{log}/{1:020d}.json"), ("synced", log)]
    assert [each for each in order if each[1] != ""] == expected


def test_a_restore_is_seen_beside_the_other_tables(tmp_path, monkeypatch):
    for hour, run_id in enumerate("ab"):
        publish(run := made(tmp_path, run_id, hour=hour))
    back = ["--warehouse", str(tmp_path), "--table", "movies", "--apply"]
    back += ["--version", "0", "--from-version", "1"]

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(restore, "decide", killed)
        with pytest.raises(Killed):
            restore.main(back)
    assert seen(run)[0] == "b"
    restore.main(back)
    assert seen(run) == ("a", *of("b")[1:])
    assert newest_version(run.warehouse.table("movies")) == 2


def test_a_restore_goes_by_what_readers_were_shown(tmp_path, monkeypatch):
    """Not by the part of an unfinished publish, which was taken back."""
    for hour, run_id in enumerate("ab"):
        publish(run := made(tmp_path, run_id, hour=hour))
    for hour in (2, 3):
        with monkeypatch.context() as patch:
            dying(patch, "movies", before=False)
            with pytest.raises(Killed):
                publish(made(tmp_path, "killed", hour=hour))
        with whole.publishing(run.warehouse):
            assert seen(run) == of("b")
    # 0 is a, 1 is b, 2 and 4 are of the killed run, 3 and 5 took them back.
    back = ["--warehouse", str(tmp_path), "--table", "movies", "--apply"]
    for version in ("2", "4"):
        with pytest.raises(JobError, match=f"Version {version} of table movies is of a publish"):
            restore.main([*back, "--version", version])
    at = delta.history(run.warehouse.table("movies"))[1].at
    with pytest.raises(JobError, match="Version 3 of table movies is what readers see already"):
        restore.main([*back, "--at", at.isoformat()])
    restore.main(back)
    assert seen(run) == ("a", *of("b")[1:])
    restore.main(back)
    assert seen(run) == of("b")


def test_the_row_and_the_commit_of_runs_name_the_versions(tmp_path):
    publish(run := made(tmp_path, "a"))
    publish(made(tmp_path, "b", "2026-01-01", hour=1))  # an earlier date: clean tables stay
    with connect(run.warehouse) as tables:
        told = dict(tables.sql("select run_id, versions from runs").fetchall())
    after = {"movies": 0, "users": 0, "ratings": 0}
    after |= {"quarantine": 1, "similar_movies": 1, "recommendations": 1}
    assert json.loads(told["b"]) == after
    runs = DeltaTable(run.warehouse.table("runs"))
    assert json.loads(runs.history(1)[0]["versions"]) == after


@pytest.mark.parametrize(
    ("standing", "late", "newer"),
    [
        # Two nightly runs of a date: the one that began first comes last.
        ([("b", 2, None)], ("a", 1, None), "b"),
        ([("a", 1, None)], ("b", 2, None), None),
        # A rescore of the older data, begun before and after the newer data came.
        ([("a", 1, None), ("b", 2, None)], ("r", 1, "a"), "b"),
        ([("a", 1, None), ("b", 2, None)], ("r", 3, "a"), "b"),
        ([("a", 1, None), ("b", 2, None)], ("r", 3, "b"), None),
        # One that began when all of it had been published, and so was meant to replace it.
        ([("a", 1, None), ("b", 2, None)], ("r", 5, "a"), None),
        # Two rescores of the same data.
        ([("a", 1, None), ("r", 4, "a")], ("q", 3, "a"), "r"),
        ([("a", 1, None), ("r", 4, "a")], ("b", 2, None), None),
        # A clock that is years ahead holds no date.
        ([("b", 24 * 365 * 9, None)], ("a", 1, None), None),
    ],
)
def test_an_older_run_does_not_overwrite_a_newer_one(tmp_path, standing, late, newer):
    for run_id, hour in [("a", 1), ("b", 2)]:
        made(tmp_path, run_id, hour=hour)
    for run_id, hour, data_run in standing:
        publish(made(tmp_path, run_id, hour=hour, data_run=data_run))
    run_id, hour, data_run = late
    assert runs_table.newer_run(made(tmp_path, run_id, hour=hour, data_run=data_run)) == newer
