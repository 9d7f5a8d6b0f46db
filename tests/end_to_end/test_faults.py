"""Bad input, killed jobs, repeated runs: readers see the old tables or the new, whole."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from deltalake import DeltaTable

from jobs.runs.schemas import PUBLISHED, columns_of
from tests.end_to_end.conftest import ROOT, SMALL, Warehouse, write_delivery
from tests.servers.postgresql import PASSWORD, stopped_server

# Without biases and without learning, every rating is predicted as 0.
UNTRAINED = [
    "--set=train.matrix_factorisation.biases=false",
    "--set=train.matrix_factorisation.learning_rate=0.000001",
    "--set=train.matrix_factorisation.epochs=1",
]

# Publishes the run `second`, and dies with all its children when the files of the recommendations
# are placed, or when they are about to be committed.
KILLED_PUBLISH = """
import os, signal, sys
from jobs import publish
from jobs.published import commit, delta

name, where = sys.argv[1], {"place_files": delta, "commit_files": commit}[sys.argv[1]]
do = getattr(where, name)

def dying(placed, *arguments):
    if name == "commit_files" and placed.table.name == "recommendations":
        os.killpg(0, signal.SIGKILL)
    done = do(placed, *arguments)
    if name == "place_files" and placed.table.name == "recommendations":
        os.killpg(0, signal.SIGKILL)
    return done

setattr(where, name, dying)
publish.main(["--run-id", "second"])
"""


# Publishes the run `first`, and has the server of PostgreSQL stop at once, as if it had crashed,
# when the rows are copied and are about to be shown.
CRASHED_SERVER = """
import os, signal
from pathlib import Path
from jobs.sinks import postgresql_dates
from jobs.nightreel import main

fill = postgresql_dates.fill

def filled(connection, *arguments):
    rows = fill(connection, *arguments)
    process = Path(connection.info.host, "data", "postmaster.pid").read_text().splitlines()[0]
    os.kill(int(process), signal.SIGQUIT)
    return rows

postgresql_dates.fill = filled
main()
"""


@pytest.fixture(scope="module")
def server():
    with stopped_server() as server:
        yield server


@pytest.fixture
def dsn(server, monkeypatch):
    """Commands publish to the server as well, which does not run yet."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("NIGHTREEL_POSTGRESQL", server.dsn)
    return server.dsn


def in_postgresql(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn, options="-csearch_path=nightreel") as connection:
        return connection.execute(query).fetchall()


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Kill a job and all its children, without a chance to clean up, once it got so far."""
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < deadline, "the job never got so far"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_the_same_run_twice_leaves_the_same_tables(published, delivery, server, dsn):
    """The second time with PostgreSQL, which then holds the same."""
    before = published.content()
    options = ["--dataset", "ml-1m", "--source", str(delivery), "--ds", "2026-01-02", *SMALL]
    with server.running():
        published.steps("first", *options)
        assert published.content() == before
        for table in ("recommendations", "movies", "runs"):
            # As text, a float of PostgreSQL's is another number than as a double.
            columns = ", ".join(
                f"cast({name} as double precision)" if kind == "float" else name
                for name, kind in columns_of(PUBLISHED[table][0]).items()
                if kind != "timestamp"
            )
            query = f"select {columns} from {table} order by 1, 2, 3"
            assert in_postgresql(dsn, query) == published.sql(query)
        assert in_postgresql(dsn, 'select count(*) from "current"') == [(120 * 20,)]


def test_a_server_that_is_down_stops_publish_and_one_that_crashes_is_filled_later(
    published, server, dsn
):
    before = published.content()
    refused = published.run("publish", "--run-id", "first")
    assert refused.returncode == 1
    assert "PostgreSQL cannot be reached, and nothing was changed: connection" in refused.stderr
    assert "Traceback" not in refused.stderr
    table = str(published.folder / "tables/recommendations")
    version = DeltaTable(table).version()
    with server.running():
        with psycopg.connect(dsn) as connection:
            connection.execute("drop schema if exists nightreel cascade")
        command = [sys.executable, "-c", CRASHED_SERVER, "publish", "--run-id", "first"]
        crashed = published.call(command)
    assert crashed.returncode == 1
    assert "still shows what it showed before: " in crashed.stderr
    assert "Once the server is well again: nightreel sink --ds 2026-01-02" in crashed.stderr
    assert DeltaTable(table).version() == version + 1
    with server.running():
        assert in_postgresql(dsn, "select count(*) from recommendations") == [(0,)]
        sunk = published.run("sink", "--ds", "2026-01-02")
        assert sunk.stdout == "PostgreSQL: 2,400 recommendations of 2026-01-02\n"
        assert in_postgresql(dsn, "select count(*) from recommendations") == [(2400,)]
    assert published.content() == before


def test_a_killed_score_leaves_the_tables_and_the_next_try_repairs(published):
    before = published.content()
    scratch = published.folder / "staging/first"

    def at_work() -> bool:
        return any(scratch.glob("scoring-*/*.parquet.*"))

    assert not at_work()
    kill_when(published.start("score", "--run-id", "first"), at_work)
    assert published.content() == before
    refused = published.run("publish", "--run-id", "first")
    assert refused.returncode == 1
    assert "Step score of run first has not finished" in refused.stderr
    assert published.content() == before
    published.steps("first", first="score")
    assert published.content() == before


def kill_publish(published: Warehouse, where: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_PUBLISH, where],
        env=published.variables(),
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=500,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL


def test_a_killed_publish_shows_nothing_and_the_next_try_repairs(published, delivery):
    """Killed when files were placed, then when some tables were committed and others were not."""
    options = ["--dataset", "ml-1m", "--source", str(delivery), "--ds", "2026-01-03", *SMALL]
    published.steps("second", *options, "--set=train.refit=false", last="score")
    before = published.content()
    movies = str(published.folder / "tables/movies")
    version = DeltaTable(movies).version()

    def placed() -> list[Path]:
        return list(published.folder.glob("tables/recommendations/ds=2026-01-03/*.parquet"))

    kill_publish(published, "place_files")
    left = placed()
    # The new files lie in the table's folder already, where nobody reads them.
    assert left
    assert published.content() == before
    kill_publish(published, "commit_files")
    assert DeltaTable(movies).version() == version + 1
    assert not set(left) & set(placed())
    # Who reads several tables sees those that belong together.
    assert published.content() == before
    published.steps("second", first="publish")
    after = published.sql("select * from recommendations where ds = '2026-01-02' order by all")
    assert after == [row for row in before["recommendations"] if str(row[0]) == "2026-01-02"]
    assert published.sql("select count(*) from recommendations where ds = '2026-01-03'") == [
        (120 * 20,)
    ]
    assert published.sql("select refit_ratings from runs where run_id = 'second'") == [(None,)]
    assert len(placed()) == len(left)


def test_a_model_that_is_not_good_enough_leaves_the_champion(published, delivery):
    options = ["--dataset", "ml-1m", "--source", str(delivery), "--ds", "2026-01-04", *SMALL]
    [(champion,)] = published.sql(
        "select model_version from runs where promoted order by finished_at desc limit 1"
    )
    published.steps("worse", *options, *UNTRAINED)
    assert published.sql("select promoted, model_version from runs where run_id = 'worse'") == [
        (False, champion)
    ]
    assert published.sql(
        "select distinct model_version from recommendations where ds = '2026-01-04'"
    ) == [(champion,)]


def test_where_nothing_was_learned_the_biases_score(tmp_path, delivery):
    warehouse = Warehouse(tmp_path / "warehouse")
    options = ["--dataset", "ml-1m", "--source", str(delivery), *SMALL, *UNTRAINED]
    warehouse.steps("worse", *options)
    record = json.loads((warehouse.folder / "runs/worse/steps/evaluate.json").read_text())
    assert record["fallback_version"] == record["model_version"] != record["candidate_version"]
    [[version, promoted]] = warehouse.sql(
        "select model_version, promoted from runs where run_id = 'worse'"
    )
    assert (version, promoted) == (record["model_version"], True)
    [[ratings, refit_ratings]] = warehouse.sql("select ratings, refit_ratings from runs")
    assert ratings == refit_ratings
    # Everybody who has rated something is scored by the biases, and by nothing else.
    assert warehouse.sql(
        "select distinct model_version, source from recommendations where source = 'model'"
    ) == [(version, "model")]
    told = warehouse.run("summary", "--run-id", "worse").stdout
    assert "Nothing better than the biases was learned: RMSE" in told
    page = warehouse.run("report", "--run-id", "worse")
    assert page.returncode == 0, page.stderr
    html = (warehouse.folder / "runs/worse/report.html").read_text()
    assert f"The biases alone, version {version}, were promoted in its place." in html


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--dataset", "ml-2m"],
            '--set ingest.dataset="ml-2m": ingest: dataset ml-2m is no release of MovieLens, so',
        ),
        (["--set", "train.epoks=3"], "unknown key train.epoks. Allowed here: launcher, ranks,"),
        (["--profile", "nobody"], "There are: accurate, james-le"),
        (["--dataset", "ml-1m", "--source", "nowhere.zip"], "nowhere.zip does not exist. Expected"),
        (["--ds", "yesterday"], "argument --ds: expected YYYY-MM-DD, found 'yesterday'"),
    ],
)
def test_a_wrong_argument_stops_before_anything_is_written(tmp_path, arguments, sentence):
    warehouse = Warehouse(tmp_path / "warehouse")
    refused = warehouse.run("ingest", "--run-id", "bad", *arguments)
    assert refused.returncode != 0
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not any(warehouse.folder.rglob("run.json"))
    assert not any(warehouse.folder.rglob("*.dat"))


def test_a_missing_movies_file_stops_ingest(tmp_path):
    folder = write_delivery(tmp_path / "delivery")
    (folder / "movies.dat").unlink()
    warehouse = Warehouse(tmp_path / "warehouse")
    refused = warehouse.run("ingest", "--dataset", "ml-1m", "--source", str(folder))
    assert refused.returncode == 1
    assert "movies.dat is missing. Expected " in refused.stderr
    assert not any(warehouse.folder.rglob("run.json"))


def test_a_truncated_zip_stops_ingest(tmp_path, delivery):
    from shutil import make_archive

    whole = Path(make_archive(str(tmp_path / "ml-1m"), "zip", delivery.parent, delivery.name))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    warehouse = Warehouse(tmp_path / "warehouse")
    refused = warehouse.run("ingest", "--dataset", "ml-1m", "--source", str(cut))
    assert refused.returncode == 1
    assert "cut.zip is truncated or damaged" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not any(warehouse.folder.rglob("run.json"))


def test_a_step_without_its_run_names_the_known_runs(published):
    refused = published.run("train", "--run-id", "nonesuch")
    assert refused.returncode == 1
    assert f"There is no run nonesuch in {published.folder}. Runs there: first" in refused.stderr
