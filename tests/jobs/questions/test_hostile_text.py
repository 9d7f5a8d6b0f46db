"""Control characters in every text column of every published table, as an older version left them.

Titles and the like lose them in etl; what quarantine quotes keeps them.
"""

import os
import pty
import re
import subprocess
import sys
from datetime import UTC, date, datetime

import psycopg
import pytest

from jobs.pages.page import Page, Section, Table, Text, write_page
from jobs.questions import predict, query, similar
from jobs.runs.command import run_command
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED, columns_of
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import connection_to
from jobs.sinks.postgresql_dates import load
from jobs.sinks.remote_tables import copy_tables
from jobs.training.registry import Registry
from tests.jobs.examples import MODEL
from tests.jobs.questions.conftest import publish
from tests.servers.postgresql import PASSWORD, postgresql_server

CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
HOSTILE = f"\x1b]52;c;cm0=\x07{CONTROLS}\x1b[31m=1+1"
DS = date(2026, 11, 23)
VALUES = {
    "string": HOSTILE,
    "array<string>": [HOSTILE, HOSTILE],
    "date": DS,
    "timestamp": datetime(2026, 11, 23, tzinfo=UTC),
    "boolean": True,
}
# What questions look rows up by.
KNOWN = {"user_id": 2, "movie_id": 10, "rank": 1, "users_scored": None, "release": "ml-1m"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    warehouse = tmp_path_factory.mktemp("hostile")
    for table, (ddl, partition_by) in PUBLISHED.items():
        row = {name: KNOWN.get(name, VALUES.get(kind, 3)) for name, kind in columns_of(ddl).items()}
        if "versions" in row:
            row["versions"] = None
        partition = {name: {"ds": f"{DS}", "run_id": "run"}[name] for name in partition_by}
        publish(
            warehouse, table, [tuple(v for k, v in row.items() if k not in partition)], partition
        )
    return warehouse


def obeyed(printed: str) -> set[str]:
    """The control characters in what a terminal gets, but for ends of lines and tabs."""
    return set(re.findall(r"[\x00-\x1f\x7f-\x9f]", printed)) - {"\n", "\t"}


@pytest.mark.parametrize("columns", ["80", "100000"])
def test_no_question_passes_them_to_a_terminal(hostile, monkeypatch, capfd, columns):
    """Neither as a table nor as blocks of lines."""
    monkeypatch.setenv("NIGHTREEL_WAREHOUSE", str(hostile))
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("jobs.engines.terminal.WIDTH_WITHOUT_TERMINAL", int(columns))
    for table in PUBLISHED:
        query.sql([f"from {table}"])
    query.sql([f'select 1 as "{HOSTILE.replace(chr(0), "")}"'])
    query.recommend(["--user", "2"])
    similar.main(["--movie", "10"])
    printed = capfd.readouterr().out
    assert r"\x1b]52;c;cm0=\x07" in re.sub(r"\s*\n\s*", "", printed)
    assert obeyed(printed) == set()


def test_a_sentence_does_not_either(capfd):
    def fails():
        raise JobError(f"ratings.dat: found {HOSTILE}")

    with pytest.raises(SystemExit) as told:
        run_command(fails)
    assert obeyed(str(told.value)) == set()


def test_a_page_for_a_browser_does_not_either(tmp_path):
    table = Table(HOSTILE, [HOSTILE], [(HOSTILE,)])
    sections = [Section(HOSTILE, [Text(HOSTILE), table])]
    write_page(Page(HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], sections), tmp_path / "page.html")
    written = (tmp_path / "page.html").read_text()
    assert obeyed(written) == set()
    assert written.count(r"\x1b[31m=1+1") >= 6


def test_csv_for_a_file_is_as_the_tables_are_and_for_a_terminal_is_not(hostile, monkeypatch, capfd):
    monkeypatch.setenv("NIGHTREEL_WAREHOUSE", str(hostile))
    asked = ["--csv", "select title from movies"]
    query.sql(asked)
    assert "\x1b]52;c;cm0=\x07" in capfd.readouterr().out
    ours, theirs = pty.openpty()
    program = "import sys; from jobs.questions.query import sql; sql(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", program, *asked], stdout=theirs, check=True)
    os.close(theirs)
    printed = os.read(ours, 10_000).decode()
    os.close(ours)
    assert printed.startswith("title\r\n")
    assert obeyed(printed) == {"\r"}


def test_postgresql_takes_all_but_nul(hostile, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with postgresql_server() as dsn:
        with connection_to(dsn) as connection:
            assert load(connection, Warehouse(hostile), DS) == 1
        with psycopg.connect(dsn, options="-csearch_path=nightreel") as reader:
            held = HOSTILE.replace("\0", "")
            assert reader.execute("select title, source from recommendations").fetchall() == [
                (held, held)
            ]
            assert reader.execute("select title, genres from movies").fetchall() == [
                (held, [held, held])
            ]
            assert reader.execute("select model_version from runs").fetchall() == [(held,)]


def test_an_object_store_gets_the_files_as_they_are(hostile, bucket):
    import duckdb
    from deltalake import DeltaTable

    copy_tables(Warehouse(hostile), bucket)
    table = DeltaTable(f"{bucket}/tables/movies")
    assert duckdb.from_arrow(table.scan()).fetchall() == [
        (10, HOSTILE, 3, [HOSTILE, HOSTILE], HOSTILE)
    ]


def test_predictions_name_a_movie_without_them(hostile, monkeypatch, capfd):
    monkeypatch.setattr(Registry, "factors", lambda registry, version: MODEL)
    for how in (["--movie", "10"], ["--rated"]):
        predict.main(["--warehouse", str(hostile), "--user", "2", *how])
        printed = capfd.readouterr().out
        assert r"\x1b]52;c;cm0=\x07" in printed
        assert obeyed(printed) == set()
