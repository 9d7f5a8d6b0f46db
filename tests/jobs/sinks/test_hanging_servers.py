"""Servers that hang instead of failing: each wait has an end, and a sentence."""

import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from jobs.engines import postgresql_connection
from jobs.runs.errors import JobError
from jobs.runs.warehouse import Warehouse
from jobs.sinks import postgresql
from jobs.sinks.postgresql import connection_to, require_usable
from jobs.sinks.postgresql_dates import load
from jobs.sinks.remote_tables import copy_tables
from jobs.sinks.sinks import Postgresql
from tests.jobs.sinks.test_postgresql import DAYS, publish_run, rows_of
from tests.servers.postgresql import PASSWORD, postgresql_server
from tests.servers.proxy import at, at_socket, proxy_before


@pytest.fixture(scope="module")
def server():
    with postgresql_server() as dsn:
        yield dsn


@pytest.fixture
def dsn(server, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("drop schema if exists nightreel cascade")
    return server


@pytest.fixture
def proxy(dsn):
    folder = dsn.partition("host=")[2]
    with proxy_before(at_socket(f"{folder}/.s.PGSQL.5432")) as proxy:
        yield proxy


def through(proxy):
    return f"postgresql://nightreel@127.0.0.1:{proxy.port}/postgres?sslmode=disable"


@pytest.fixture
def warehouse(tmp_path):
    publish_run(tmp_path, DAYS[0], "a", ["A1", "A2"])
    return Warehouse(tmp_path)


@contextmanager
def at_most(seconds):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.mark.parametrize("moment", [b"copy", b"attach partition", b"pg_try_advisory_lock"])
def test_a_server_that_falls_silent_is_given_up(dsn, proxy, warehouse, monkeypatch, moment):
    """While it gets rows, while it is to show them, and before it has changed anything."""
    monkeypatch.setattr(postgresql_connection, "SILENCE", 1.0)
    proxy.freeze_at = moment
    with pytest.raises(JobError, match="the server has not answered for 1 seconds"), at_most(20):
        Postgresql(through(proxy), warehouse).copy(DAYS[0])
    monkeypatch.setitem(postgresql_connection.DEFAULTS, "connect_timeout", 2)
    with pytest.raises(JobError, match=r"PostgreSQL cannot be reached.*timeout expired"):
        Postgresql(through(proxy), warehouse).require()


def test_a_held_lock_is_waited_for_so_long_and_its_holder_named(
    dsn, proxy, warehouse, monkeypatch, capfd
):
    monkeypatch.setattr(postgresql, "PATIENCE", 2.0)
    with connection_to(dsn) as stuck:
        backend = stuck.info.backend_pid
        holder = rf"backend {backend} of user nightreel, nightreel process \d+ on .*, since 20"
        with pytest.raises(JobError, match=f"not ended for .* minutes: {holder}"), at_most(20):
            Postgresql(dsn, warehouse).copy(DAYS[0])
        assert (
            f"PostgreSQL: waiting for another load to end: backend {backend}"
            in capfd.readouterr().out
        )
        # Nobody who is about to publish waits for it.
        with at_most(1):
            require_usable(dsn)


def test_no_load_is_locked_out_while_tables_are_committed(dsn, warehouse):
    """Between asking whether the server can be used and copying to it."""
    with Postgresql(dsn, warehouse).opened() as copy:
        with connection_to(dsn) as other:
            assert load(other, warehouse, DAYS[0]) == 2
        assert copy(DAYS[0]) == 2


def test_a_session_whose_client_is_lost_ends_in_the_server(dsn, proxy, warehouse, monkeypatch):
    """It holds the lock of all loads, and the server hears nothing of it any more."""
    monkeypatch.setattr(postgresql_connection, "STATEMENT_TIMEOUT", 2)
    proxy.freeze_at = b"select 'the last word'"
    held, released = threading.Event(), threading.Event()

    def hang():
        with connection_to(through(proxy)) as connection:
            held.set()
            try:
                connection.execute("select 'the last word'")
            except psycopg.Error:
                released.set()

    thread = threading.Thread(target=hang, daemon=True)
    thread.start()
    assert held.wait(10)
    with at_most(20):
        Postgresql(dsn, warehouse).copy(DAYS[0])
    assert not released.is_set()
    assert rows_of(dsn, "select count(*) from recommendations") == [(2,)]


def test_a_store_that_falls_silent_is_given_up(s3, bucket, warehouse, monkeypatch):
    """Between reading what a table holds there and changing it; the limit is of half a minute."""
    with proxy_before(at("127.0.0.1", urlsplit(s3).port)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        proxy.freeze_at = b"PUT "
        with pytest.raises(
            JobError, match=r"shows what it showed before: http.*or does not answer"
        ):
            with at_most(60):
                copy_tables(warehouse, bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    assert copy_tables(warehouse, bucket)["files"] == 3


def test_a_store_that_is_silent_from_the_start_is_given_up(s3, bucket, warehouse, monkeypatch):
    with proxy_before(at("127.0.0.1", urlsplit(s3).port)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        proxy.frozen.set()
        # delta-rs looks before anything is uploaded.
        with pytest.raises(JobError, match=r"shows what it showed before"), at_most(60):
            copy_tables(warehouse, bucket)


def test_what_a_connection_string_says_of_waiting_counts(dsn):
    named = dsn + "&keepalives_idle=77&connect_timeout=3"
    with postgresql_connection.connected(named) as connection:
        told = connection.info.get_parameters()
        assert (told["keepalives_idle"], told["connect_timeout"]) == ("77", "3")
        assert told["tcp_user_timeout"] == "60000"
