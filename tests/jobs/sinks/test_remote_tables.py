"""The third sink, on a real S3 server: what it holds, what readers see, what stops it early."""

import json
import signal
import subprocess
import sys
import time
from threading import Event, Thread

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import CommitProperties
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.engines.object_store import sentence
from jobs.runs.configuration import load_configuration
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED
from jobs.runs.warehouse import Warehouse
from jobs.sinks import table_copy
from jobs.sinks.remote_tables import copy_tables, prepare
from jobs.sinks.table_copy import commit, copy_table, current, entries
from jobs.upkeep import sink
from tests.jobs.sinks.test_postgresql import DAYS, publish, publish_run


@pytest.fixture
def warehouse(tmp_path):
    publish_run(tmp_path, DAYS[0], "a", ["A", "B"])
    publish_run(tmp_path, DAYS[1], "b", ["C"])
    return tmp_path


def add_actions(table: str) -> list[dict]:
    """All that the log says of the files of a table's newest version."""
    return sorted(pa.table(DeltaTable(table).get_add_actions()).to_pylist(), key=str)


def run_ids(table: str) -> list[str]:
    """The run of every row, as a reader of the store sees it."""
    rows = DeltaTable(table).scan(columns=["run_id"])
    return [row[0] for row in duckdb.from_arrow(rows).fetchall()]


def test_the_copy_says_what_the_local_tables_say(bucket, warehouse):
    publish(warehouse, "quality", [], "b", {"run_id": "b"})  # without files
    assert copy_tables(Warehouse(warehouse), bucket)["files"] == 5
    for name in ("movies", "recommendations", "runs", "quality"):
        ours, theirs = f"{warehouse}/tables/{name}", f"{bucket}/tables/{name}"
        assert add_actions(theirs) == add_actions(ours)
        assert DeltaTable(theirs).schema() == DeltaTable(ours).schema()
    assert sorted(run_ids(f"{bucket}/tables/recommendations")) == ["a", "a", "b"]
    # With nothing new, no commit; files that have moved elsewhere are not looked for.
    assert copy_tables(Warehouse(warehouse), bucket) == {"files": 0, "bytes": 0}
    assert DeltaTable(f"{bucket}/tables/recommendations").version() == 0
    publish_run(warehouse, DAYS[1], "c", ["D"])
    assert copy_tables(Warehouse(warehouse), bucket)["files"] == 3
    assert DeltaTable(f"{bucket}/tables/recommendations").version() == 1
    assert sorted(run_ids(f"{bucket}/tables/recommendations")) == ["a", "a", "c"]


def test_commits_say_who_made_them(bucket, warehouse):
    publish_files = DeltaTable(f"{warehouse}/tables/movies")
    told = {"run_id": "b", "model_version": "7", "ds": "2026-11-23"}
    publish_files.restore(0, commit_properties=CommitProperties(custom_metadata=told))
    copy_tables(Warehouse(warehouse), bucket)
    [made] = DeltaTable(f"{bucket}/tables/movies").history(1)
    assert made.items() >= told.items()


def publish_one(warehouse, ds, run_id):
    publish(warehouse, "quarantine", [("f", 1, ds, run_id)], run_id, {"run_id": ds})


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from("pprc"), st.integers(0, 20)), max_size=8))
def test_after_any_history_the_copy_is_the_local_version(bucket, tmp_path_factory, history):
    """Publishes of three partitions and restores, copied now and then and at the end."""
    warehouse, table = tmp_path_factory.mktemp("w"), "quarantine"
    target = f"{bucket}/{warehouse.name}"
    folder = warehouse / "tables" / table
    publish_one(warehouse, "0", "first")
    for step, (what, number) in enumerate([*history, ("c", 0)]):
        if what == "p":
            publish_one(warehouse, str(number % 3), f"run-{step}")
        elif what == "r" and DeltaTable(folder).version():
            DeltaTable(folder).restore(number % DeltaTable(folder).version())
        elif what == "c":
            copy_table(current(folder), target)
            assert add_actions(target) == add_actions(folder)


def test_a_copy_that_is_killed_changes_nothing_and_the_next_completes(bucket, warehouse):
    copy_tables(Warehouse(warehouse), bucket)
    publish_run(warehouse, DAYS[1], "c", ["D"])
    killed = (
        "import os, signal, sys; from pathlib import Path\n"
        "from jobs.runs.warehouse import Warehouse\n"
        "from jobs.sinks import remote_tables, table_copy\n"
        "def kill(local, *more):\n"
        "    if local.folder.name == 'recommendations':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return commit(local, *more)\n"
        "commit, table_copy.commit = table_copy.commit, kill\n"
        "remote_tables.copy_tables(Warehouse(Path(sys.argv[1])), sys.argv[2])\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, warehouse, bucket], check=False)
    assert done.returncode == -signal.SIGKILL
    # Its files are there, and nobody reads them; runs, which come last, are as they were.
    assert sorted(run_ids(f"{bucket}/tables/recommendations")) == ["a", "a", "b"]
    assert sorted(run_ids(f"{bucket}/tables/runs")) == ["a", "b"]
    assert copy_tables(Warehouse(warehouse), bucket)["files"] == 1
    assert sorted(run_ids(f"{bucket}/tables/recommendations")) == ["a", "a", "c"]
    assert sorted(run_ids(f"{bucket}/tables/runs")) == ["a", "b", "c"]


def test_readers_meet_whole_versions_only(bucket, tmp_path):
    publish_run(tmp_path, DAYS[0], "run-0", ["A"] * 40)
    copy_tables(Warehouse(tmp_path), bucket)
    seen: list[list[str]] = []
    done = Event()

    def read():
        while not done.is_set():
            seen.append(run_ids(f"{bucket}/tables/recommendations"))

    reader = Thread(target=read, daemon=True)
    reader.start()
    published = ["run-0"]
    for number in range(1, 6):
        published.append(f"run-{number}")
        publish_run(tmp_path, DAYS[0], published[-1], ["A"] * 40)
        copy_tables(Warehouse(tmp_path), bucket)
        while not seen or seen[-1][0] != published[-1]:
            assert reader.is_alive()
            time.sleep(0.01)
    done.set()
    reader.join()
    assert all(rows in [[run] * 40 for run in published] for rows in seen)
    runs = [rows[0] for rows in seen]
    assert runs == sorted(runs)


def test_of_two_copies_at_once_one_commits(bucket, warehouse):
    """As from two hosts whose shared folder knows no locks: the slower one brings nothing back."""
    folder, target = warehouse / "tables" / "movies", f"{bucket}/movies"
    copy_table(current(folder), target)
    publish_run(warehouse, DAYS[1], "c", ["D"])
    slow, remote = current(folder), DeltaTable(target)
    new, gone = entries(slow.table), entries(remote)
    publish_run(warehouse, DAYS[1], "d", ["E"])
    copy_table(current(folder), target)
    with pytest.raises(CommitFailedError):
        commit(slow, remote, new, gone, target)
    assert add_actions(target) == add_actions(folder)


def test_a_column_added_later_is_added_there_too(bucket, warehouse, monkeypatch):
    copy_tables(Warehouse(warehouse), bucket)
    ddl, partition_by = PUBLISHED["movies"]
    monkeypatch.setitem(PUBLISHED, "movies", (ddl + ", later int", partition_by))
    publish(warehouse, "movies", [(1, "A", 1999, [], None, 5)], "later")
    copy_tables(Warehouse(warehouse), bucket)
    assert DeltaTable(f"{bucket}/tables/movies").schema().fields[-1].name == "later"
    assert add_actions(f"{bucket}/tables/movies") == add_actions(f"{warehouse}/tables/movies")


def test_another_warehouse_s_tables_are_left_alone(bucket, warehouse, tmp_path_factory):
    copy_tables(Warehouse(warehouse), bucket)
    other = tmp_path_factory.mktemp("other")
    for _ in ("before it has published anything", "after"):
        with pytest.raises(JobError, match="is not a copy of this warehouse's table"):
            prepare(Warehouse(other), bucket)
        publish_run(other, DAYS[1], "z", ["Z"])
    with pytest.raises(JobError, match="is not a copy of this warehouse's table"):
        copy_tables(Warehouse(other), bucket)
    assert sorted(run_ids(f"{bucket}/tables/recommendations")) == ["a", "a", "b"]


def test_a_store_that_cannot_be_used_stops_early(
    bucket, warehouse, monkeypatch, reject_credentials
):
    with pytest.raises(JobError, match=r"nothing was published: The specified bucket does not ex"):
        prepare(Warehouse(warehouse), "s3://nobody-s/nightreel")
    with reject_credentials(), pytest.raises(JobError, match=r"nothing was published: The AWS Acc"):
        prepare(Warehouse(warehouse), bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(JobError, match=r"nothing was published: http://127.0.0.1:1 cannot be rea"):
        prepare(Warehouse(warehouse), bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(JobError, match=r"AWS_ENDPOINT_URL is 'minio:9000': expected an address"):
        prepare(Warehouse(warehouse), bucket)


def test_a_signature_is_not_repeated():
    error = OSError("GET https://host/c/x?sv=1&sig=hidden: error decoding response body")
    assert sentence(error) == "GET https://host/c/x error decoding response body"


def test_a_store_that_fails_later_leaves_what_there_was(bucket, warehouse, reject_credentials):
    copy_tables(Warehouse(warehouse), bucket)
    publish_run(warehouse, DAYS[1], "c", ["D"])
    with reject_credentials(), pytest.raises(JobError, match=r"shows what it .*: nightreel sink$"):
        copy_tables(Warehouse(warehouse), bucket)
    assert sorted(run_ids(f"{bucket}/tables/recommendations")) == ["a", "a", "b"]


@pytest.mark.parametrize("arrived", [True, False])
def test_an_upload_is_done_when_it_is_there(bucket, warehouse, monkeypatch, arrived):
    """The answer to its last part may get lost: asked again, the store knows of no upload."""
    put = table_copy.obstore.put

    def answer_lost(*arguments, **options):
        if arrived:
            put(*arguments, **options)
        raise FileNotFoundError("The specified upload does not exist")

    with monkeypatch.context() as patch:
        patch.setattr(table_copy.obstore, "put", answer_lost)
        folder, target = warehouse / "tables" / "movies", f"{bucket}/movies"
        if arrived:
            assert copy_table(current(folder), target)[0] == 1
            assert add_actions(target) == add_actions(folder)
        else:
            with pytest.raises(FileNotFoundError):
                copy_table(current(folder), target)
            assert not DeltaTable.is_deltatable(target)


def test_the_command_copies_again(bucket, warehouse, monkeypatch, capfd):
    conf = load_configuration([f"publish.object_store={bucket}/deep/er/"])
    assert conf.publish.object_store == f"{bucket}/deep/er"
    monkeypatch.setattr(sink, "load_configuration", lambda warehouse: conf)
    sink.main(["--warehouse", str(warehouse)])
    assert "Object store: 5 files, 0.0 MB uploaded" in capfd.readouterr().out
    with pytest.raises(JobError, match=r"--ds is for PostgreSQL"):
        sink.main(["--warehouse", str(warehouse), "--ds", "2026-11-23"])
    # A server that is down does not keep the store from being mended.
    publish_run(warehouse, DAYS[1], "c", ["D"])
    monkeypatch.setenv("NIGHTREEL_POSTGRESQL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(JobError, match="PostgreSQL cannot be reached"):
        sink.main(["--warehouse", str(warehouse)])
    assert "c" in run_ids(f"{conf.publish.object_store}/tables/recommendations")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://key:hidden@bucket/x", "holds credentials"),
        ("s3://hidden@bucket/x", "holds credentials"),
        ("abfss://c:hidden@account.dfs.core.windows.net/x", "holds credentials"),
        ("https://account.blob.core.windows.net/c?sig=hidden", "holds credentials"),
        ("az://container/x", r"found 'az://container/x'. .*Expected s3://bucket/folder, gs://"),
        ("s3://", ".*Expected s3://"),
        ("/folder", ".*Expected s3://"),
    ],
)
def test_conf_names_a_store_and_holds_no_credentials(uri, message):
    with pytest.raises(JobError, match=rf"publish\.object_store:? {message}") as told:
        load_configuration([f"publish.object_store={json.dumps(uri)}"])
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    "setting", ["ingest.source=https://u:hidden@h/x.zip", "tracking.uri=http://u:hidden@host"]
)
def test_no_other_address_holds_a_password(setting):
    with pytest.raises(JobError, match="holds a user, a password") as told:
        load_configuration([setting])
    assert "hidden" not in str(told.value)


def test_conf_may_name_a_container():
    uri = "abfss://container@account.dfs.core.windows.net/nightreel"
    assert load_configuration([f"publish.object_store={uri}"]).publish.object_store == uri
