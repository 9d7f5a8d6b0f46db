"""The second sink, on a real server: what it holds, what readers see, what stops it early."""

import json
import shutil
import threading
from datetime import UTC, date, datetime
from unittest.mock import Mock

import psycopg
import pytest

from jobs.published.delta import open_table, publish_files
from jobs.questions import query
from jobs.runs.configuration import conf_folder, load_configuration
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED, in_json
from jobs.runs.warehouse import Warehouse
from jobs.sinks import postgresql_dates
from jobs.sinks.postgresql import connection_to
from jobs.sinks.postgresql_dates import drop_users, fill, load
from jobs.upkeep import cleanup, old_dates, sink
from tests.jobs.examples import write
from tests.servers.postgresql import PASSWORD, postgresql_server

FINISHED = datetime(2026, 11, 23, tzinfo=UTC)
DAYS = [date(2026, 11, 22), date(2026, 11, 23)]


def publish(warehouse, table, rows, run_id, partition=None):
    ddl, partition_by = PUBLISHED[table]
    source = write(warehouse / "runs" / run_id / table, ddl, partition or {}, rows)
    folder = warehouse / "tables" / table
    publish_files(folder, source, in_json(ddl), partition_by, partition or {}, {})


def publish_run(warehouse, ds, run_id, titles):
    names = [*PUBLISHED["recommendations"][0].split(", ")]
    given = {"user_id": 2, "predicted_rating": 4.25, "source": "model", "model_version": run_id}
    rows = []
    for rank, title in enumerate(titles, 1):
        row = given | {"rank": rank, "movie_id": rank, "title": title, "run_id": run_id}
        rows.append(tuple(row.get(name.split()[0]) for name in names[1:]))
    publish(warehouse, "recommendations", rows, run_id, {"ds": f"{ds}"})
    publish(warehouse, "movies", [(1, titles[0], 1999, ["Drama", 'a "b"'], "B,00"), *[]], run_id)
    run = (ds, "ml-1m", 4, 3, 3, 0, run_id, True, 0.9, 0.7, 1, 6.0, FINISHED, run_id)
    publish(warehouse, "runs", [(*run, None, None, 0.0)], run_id, {"run_id": run_id})


@pytest.fixture(scope="module")
def server():
    with postgresql_server() as dsn:
        yield dsn


@pytest.fixture
def dsn(server, monkeypatch):
    """A server without anything of ours; libpq takes the password from its own variable."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("drop schema if exists nightreel cascade")
    return server


@pytest.fixture
def warehouse(tmp_path):
    # Quotes, commas, ends of lines, backslashes and empty text survive the way through CSV.
    publish_run(tmp_path, DAYS[0], "a", ['Say "Hi", Bob', "Two\nlines\\.", "Amélie 天", ""])
    publish_run(tmp_path, DAYS[1], "b", ["B1", "B2"])
    return tmp_path


def rows_of(dsn, query, lock_timeout=0):
    options = f"-csearch_path=nightreel -clock_timeout={lock_timeout}"
    with psycopg.connect(dsn, options=options) as connection:
        return connection.execute(query).fetchall()


def test_what_the_tables_hold_is_there_and_current_is_the_newest_date(dsn, warehouse):
    for _ in range(2):  # loading again replaces
        with connection_to(dsn) as connection:
            assert [load(connection, Warehouse(warehouse), ds) for ds in DAYS] == [4, 2]
    assert rows_of(dsn, "select ds, rank, title, predicted_rating from recommendations "
                        "order by ds, rank")[:4] == [
        (DAYS[0], 1, 'Say "Hi", Bob', 4.25),
        (DAYS[0], 2, "Two\nlines\\.", 4.25),
        (DAYS[0], 3, "Amélie 天", 4.25),
        (DAYS[0], 4, "", 4.25),
    ]  # fmt: skip
    assert rows_of(dsn, 'select ds, title from "current" order by rank') == [
        (DAYS[1], "B1"),
        (DAYS[1], "B2"),
    ]
    assert rows_of(dsn, "select * from movies") == [(1, "B1", 1999, ["Drama", 'a "b"'], "B,00")]
    assert rows_of(dsn, "select run_id, finished_at from runs order by 1") == [
        ("a", FINISHED),
        ("b", FINISHED),
    ]
    # One partition of one user is read by its index.
    plan = rows_of(dsn, "explain select * from recommendations where ds = '2026-11-23' "
                        "and user_id = 2")  # fmt: skip
    assert "2026_11_22" not in str(plan)
    publish_run(warehouse, DAYS[1], "c", ["C1"])
    with connection_to(dsn) as connection:
        load(connection, Warehouse(warehouse), DAYS[1])
    assert rows_of(dsn, 'select title, run_id from "current"') == [("C1", "c")]
    assert len(rows_of(dsn, "select * from recommendations")) == 5


def test_users_are_taken_out_of_a_release(dsn, warehouse):
    """By number or name; the users of other releases, who may have the same, stay."""
    with connection_to(dsn) as connection:
        for ds in DAYS:
            load(connection, Warehouse(warehouse), ds)
        connection.execute("update recommendations set source_user_id = 'u-2' where rank = 1")
        assert drop_users(connection, ["u-2"], [], ["b"]) == 1
        assert drop_users(connection, ["u-3"], [2], ["a"]) == 2
    assert rows_of(dsn, "select run_id, count(*) from recommendations group by 1") == [("a", 3)]


def test_a_load_that_is_killed_changes_nothing_and_the_next_completes(dsn, warehouse, monkeypatch):
    with connection_to(dsn) as connection:
        load(connection, Warehouse(warehouse), DAYS[1])
    publish_run(warehouse, DAYS[1], "c", ["C1"])

    def killed(connection, *arguments):
        fill(connection, *arguments)
        connection.execute("select pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(postgresql_dates, "fill", killed)
    with (
        pytest.raises(JobError, match=r"still shows what it showed before: .*nightreel sink --ds"),
        connection_to(dsn) as connection,
    ):
        load(connection, Warehouse(warehouse), DAYS[1])
    assert rows_of(dsn, 'select title from "current" order by rank') == [("B1",), ("B2",)]
    monkeypatch.undo()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    # What a load leaves that was killed between its two transactions is no hindrance.
    with connection_to(dsn) as connection:
        with connection.transaction():
            fill(connection, Warehouse(warehouse), DAYS[1], "recommendations_2026_11_23")
        assert rows_of(dsn, 'select title from "current" order by rank') == [("B1",), ("B2",)]
        load(connection, Warehouse(warehouse), DAYS[1])
    assert rows_of(dsn, 'select title from "current"') == [("C1",)]


def test_a_long_reader_delays_the_swap_and_nobody_else(dsn, warehouse):
    with connection_to(dsn) as connection:
        load(connection, Warehouse(warehouse), DAYS[1])
        publish_run(warehouse, DAYS[1], "c", ["C1"])
        with psycopg.connect(dsn, options="-csearch_path=nightreel") as long:
            query = 'select title from "current" order by rank'
            locked = "select title from movies for update"
            assert len(long.execute(query).fetchall()) == 2
            swap = threading.Thread(target=load, args=(connection, Warehouse(warehouse), DAYS[1]))
            swap.start()
            for _ in range(5):  # others read and write on, while it waits for the first to end
                assert rows_of(dsn, query) == [("B1",), ("B2",)]
                assert rows_of(dsn, locked, lock_timeout=1000) == [("B1",)]
                swap.join(0.2)
            assert swap.is_alive()
            assert len(long.execute(query).fetchall()) == 2
        swap.join(30)
    assert rows_of(dsn, query) == [("C1",)]


def test_columns_that_come_later_are_added(dsn, warehouse, monkeypatch):
    ddl = PUBLISHED["recommendations"][0]
    with monkeypatch.context() as before, connection_to(dsn) as connection:
        load(connection, Warehouse(warehouse), DAYS[0])
        before.setitem(PUBLISHED, "recommendations", (ddl + ", later float", ["ds"]))
        connection.execute("select pg_advisory_unlock_all()")
        with connection_to(dsn) as wider:
            load(wider, Warehouse(warehouse), DAYS[1])
    assert rows_of(dsn, 'select later from "current"') == [(None,), (None,)]


def test_old_dates_leave_both_and_stay_readable(dsn, warehouse, tmp_path, monkeypatch, capfd):
    newest = date(2026, 11, 24)
    publish_run(warehouse, newest, "c", ["C1"])
    with connection_to(dsn) as connection:
        for ds in (*DAYS, newest):
            load(connection, Warehouse(warehouse), ds)
    shutil.copytree(conf_folder(), tmp_path / "conf")
    (tmp_path / "conf/local.yaml").write_text("publish: {keep_dates: 2}\n")
    monkeypatch.setenv("NIGHTREEL_CONF", str(tmp_path / "conf"))
    monkeypatch.setenv("NIGHTREEL_POSTGRESQL", dsn)
    monkeypatch.setenv("NIGHTREEL_WAREHOUSE", str(warehouse))
    count = "select count(*) n from recommendations where ds = '2026-11-22'"

    def dates():
        return rows_of(dsn, "select distinct ds from recommendations order by 1")

    def kept():
        query.sql(["--csv", "select distinct ds from recommendations order by 1"])
        return capfd.readouterr().out.split()[1:]

    cleanup.main(["--dry-run", "--json"])
    *shown, counted = capfd.readouterr().out.splitlines()
    assert sum("date 2026-11-22 of recommendations" in line for line in shown) == 2
    assert json.loads(counted)["dates"] == 1
    assert (len(kept()), len(dates())) == (3, 3)
    with monkeypatch.context() as patch:
        patch.setattr(old_dates, "drop_dates", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            cleanup.main([])
    capfd.readouterr()
    assert (kept(), len(dates())) == (["2026-11-23", "2026-11-24"], 3)
    cleanup.main([])
    assert "Removed: runs 0, " in (printed := capfd.readouterr().out)
    assert "dates 1; " in printed
    assert dates() == [(DAYS[1],), (newest,)]
    assert rows_of(dsn, "select count(*) from runs") == [(3,)]
    cleanup.main([])
    assert capfd.readouterr().out == f"There is nothing to remove in {warehouse}.\n"
    assert open_table(Warehouse(warehouse), "recommendations").version() == 3
    query.sql(["--csv", "--at", "2", count])
    assert capfd.readouterr().out == "n\n4\n"
    # The newest run's date stays, even where others are newer.
    open_table(Warehouse(warehouse), "recommendations").restore(2)
    is_old = old_dates.is_old(Warehouse(warehouse), 1)
    assert [is_old(ds) for ds in (*DAYS, newest)] == [True, True, False]
    publish(warehouse, "runs", [], "c", {"run_id": "c"})
    is_old = old_dates.is_old(Warehouse(warehouse), 1)
    assert [is_old(ds) for ds in (*DAYS, newest)] == [True, False, False]
    # Of fewer dates than are to stay none goes, even from a server that has more of them.
    assert not old_dates.is_old(Warehouse(warehouse), 4)(date(2001, 1, 1))


def test_the_command_says_what_is_missing(dsn, warehouse, monkeypatch, capfd):
    argv = ["--warehouse", str(warehouse)]
    with pytest.raises(JobError, match="No PostgreSQL server is named"):
        sink.main(argv)
    monkeypatch.setenv("NIGHTREEL_POSTGRESQL", dsn)
    sink.main(argv)
    assert capfd.readouterr().out == "PostgreSQL: 2 recommendations of 2026-11-23\n"
    with pytest.raises(JobError, match="Nothing is published for 2026-01-01"):
        sink.main([*argv, "--ds", "2026-01-01"])
    assert open_table(Warehouse(warehouse), "recommendations").version() == 1


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("postgresql://u:hidden@localhost:1/db", "cannot be reached, and nothing was changed"),
        ("user u password hidden", "no connection string"),
    ],
)
def test_a_wrong_server_stops_early_and_no_password_is_told(named, message):
    with pytest.raises(JobError, match=message) as told, connection_to(named):
        raise AssertionError("there is no such server")
    assert "hidden" not in str(told.value)
    assert told.value.__suppress_context__


@pytest.mark.parametrize("named", ["postgresql://u:hidden@h/d", "host=h password=hidden"])
def test_conf_holds_no_password(named):
    with pytest.raises(JobError, match=r"publish\.postgresql holds a password") as told:
        load_configuration([f"publish.postgresql={named}"])
    assert "hidden" not in str(told.value)
    assert load_configuration(["publish.postgresql=postgresql://u@h/d"]).publish.postgresql
