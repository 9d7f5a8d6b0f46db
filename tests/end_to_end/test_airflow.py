"""The real scheduler: a run through REST, refusals, a run that survives what is killed, its end.

Tables are copied to PostgreSQL and to an S3 server, a release comes from a presigned address, and a
webhook that refuses is told of failures: of all their secrets nothing may be left.
"""

import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml

from tests.end_to_end.airflow import Airflow, command_of, is_alive, processes, wait_for
from tests.end_to_end.conftest import ROOT, Warehouse
from tests.end_to_end.secrets import (
    HOOK,
    LINEAGE,
    MLFLOW,
    PLANTED,
    SIGNATURE,
    Watch,
    Web,
    left_in,
    web_server,
)
from tests.servers.postgresql import PASSWORD, postgresql_server
from tests.servers.s3 import bucket_client, environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of all that the tests of this file leave."""
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def warehouse(folder) -> Warehouse:
    return Warehouse(folder / "warehouse")


@pytest.fixture(scope="module")
def web(delivery, tmp_path_factory):
    with web_server(delivery, tmp_path_factory.mktemp("web")) as server:
        yield server


@pytest.fixture(scope="module")
def watch():
    watch = Watch()
    yield watch
    watch.end()


@pytest.fixture(scope="module")
def airflow(folder, warehouse, web, watch, s3):
    conf = shutil.copytree(ROOT / "conf", folder / "conf")
    with (conf / "spark/spark-defaults.conf").open("a") as settings:
        settings.write("spark.sql.shuffle.partitions 2\n")
    bucket_client(s3).create_bucket(Bucket="planted")
    # Learned within a second.
    small = {"matrix_factorisation": {"factors": 8, "learning_rate": 0.02, "epochs": 20}}
    told = {"publish": {"object_store": "s3://planted/nightreel"}, "train": small}
    (conf / "local.yaml").write_text(yaml.safe_dump(told))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = folder / "home"
    home.mkdir()
    with postgresql_server() as dsn:
        with_password = dsn.replace("nightreel@", f"nightreel:{quote(PASSWORD, safe='')}@")
        started = Airflow(
            home,
            port,
            **environment(s3),
            NIGHTREEL_CONF=str(conf),
            NIGHTREEL_WAREHOUSE=str(warehouse.folder),
            NIGHTREEL_RETRY_SECONDS="1",
            NIGHTREEL_POSTGRESQL=with_password,
            NIGHTREEL_SOURCE=f"{web.source}?X-Amz-Signature={SIGNATURE}",
            MLFLOW_TRACKING_PASSWORD=MLFLOW,
            AIRFLOW_VAR_NIGHTREEL_ALERT_WEBHOOK=f"{web.address}/{HOOK}",
            AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(
                {"type": "http", "url": web.address, "endpoint": LINEAGE}
            ),
            SPARK_CONF_DIR=str(conf / "spark"),
            # Only what the tests trigger runs.
            NIGHTREEL_SCHEDULE="",
            # Tasks of a killed scheduler are found within seconds, not minutes.
            AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL="5",
            AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD="10",
        )
        try:
            for dag in ("nightly", "rescore", "restore"):
                status, answer = started.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
                assert status == 200, answer
            yield started
        finally:
            started.stop()


def test_nothing_listens_but_the_interface_and_on_this_machine_alone(airflow):
    port = int(airflow.address.rpartition(":")[2])
    assert airflow.listeners() == {("127.0.0.1", port)}


def assert_published(warehouse: Warehouse, run: str, users: int, top_k: int) -> None:
    """Every user has so many recommendations of the run, none of a rated movie."""
    [(ds, run_id)] = warehouse.sql(
        f"select ds::varchar, run_id from runs where starts_with(run_id, '{run[:30]}')"
    )
    published = f"from recommendations where ds = '{ds}' and run_id = '{run_id}'"
    assert warehouse.sql(f"select count(*), count(distinct user_id) {published}") == [
        (users * top_k, users)
    ]
    assert warehouse.sql(
        f"select count(*) from (select * {published}) join ratings using (user_id, movie_id)"
    ) == [(0,)]


def test_a_run_through_rest_with_another_top_k(airflow, warehouse, delivery: Path, web: Web):
    status, run = airflow.trigger("nightly", dataset="ml-1m", source=str(delivery), top_k=5)
    assert status == 200, run
    run_id = run["dag_run_id"]
    assert airflow.wait_for_end("nightly", run_id) == "success"
    assert_published(warehouse, run_id.replace(":", "-"), users=120, top_k=5)

    states = {task: found["state"] for task, found in airflow.tasks("nightly", run_id).items()}
    assert states.pop("keep_champion") == "skipped"
    assert set(states.values()) == {"success"}
    cleaned = airflow.result("nightly", run_id, "prepare.etl")
    assert airflow.result("nightly", run_id, "train.refit")["ratings"] == cleaned["ratings"]
    summary = airflow.result("nightly", run_id, "summary")
    assert (summary["rows_published"], summary["promoted"]) == (600, True)
    # Another team's DAG can follow the table by its events.
    events = airflow.call("GET", "/api/v2/assets/events")[1]["asset_events"]
    told = {event["name"]: event["extra"] for event in events}
    assert set(told) == {"model", "ratings", "recommendations"}
    table = told["recommendations"]
    assert (table["rows_published"], table["table_version"]) == (600, 0)
    assert (table["model_version"], table["test_rmse"]) == ("1", summary["test_rmse"])
    assert not any((warehouse.folder / "staging").iterdir())
    # A catalogue knows what came from where.
    tables, raw = warehouse.folder / "tables", str(warehouse.folder / "raw/ml-1m")
    ingested = wait_for("ingest's lineage", lambda: completed(web, "nightly.prepare.ingest"))
    assert named(ingested["inputs"]) == {str(delivery)}
    assert named(ingested["outputs"]) == {raw}
    published = wait_for("publish's lineage", lambda: completed(web, "nightly.score.publish"))
    assert named(published["inputs"]) == {raw, "nightreel-ml-1m"}
    assert named(published["outputs"]) >= {str(tables / "ratings"), str(tables / "recommendations")}


def completed(web: Web, job: str) -> dict[str, Any] | None:
    """The event that told of a task's good end; None if none has come."""
    found = [
        event
        for event in list(web.lineage)
        if (event["job"]["name"], event["eventType"]) == (job, "COMPLETE")
    ]
    return found[0] if found else None


def named(datasets: list[dict[str, Any]]) -> set[str]:
    return {dataset["name"] for dataset in datasets}


def test_a_model_from_elsewhere_is_scored_and_can_be_undone(airflow, warehouse):
    """An event by REST starts rescore; restore puts the version before it back."""
    # The run before announced its model, and scored with it: rescore had nothing to do.
    [skipped] = wait_for("rescore after nightly", lambda: airflow.runs("rescore"))
    assert airflow.wait_for_end("rescore", skipped) == "success"
    assert airflow.tasks("rescore", skipped)["rescore"]["state"] == "skipped"

    assets = airflow.call("GET", "/api/v2/assets")[1]["assets"]
    [model] = [asset["id"] for asset in assets if asset["name"] == "model"]
    announced = {"asset_id": model, "extra": {"model_version": "1", "release": "ml-1m"}}
    assert airflow.call("POST", "/api/v2/assets/events", announced)[0] == 200
    wait_for("rescore after the event", lambda: len(airflow.runs("rescore")) == 2)
    [run] = set(airflow.runs("rescore")) - {skipped}
    assert airflow.wait_for_end("rescore", run) == "success"
    query = "select run_id, count(*) from recommendations group by all"
    [(run_id, rows)] = warehouse.sql(query)
    assert (run_id, rows) == (run.replace(":", "-").replace("+", "-"), 120 * 20)

    restore = airflow.trigger("restore", dry_run=False)[1]["dag_run_id"]
    assert airflow.wait_for_end("restore", restore) == "success"
    restored = airflow.result("restore", restore, "restore")
    assert (restored["from_version"], restored["restored_version"], restored["version"]) == (
        1,
        0,
        2,
    )
    [(run_id, rows)] = warehouse.sql(query)
    assert (run_id.startswith("manual__"), rows) == (True, 600)
    events = airflow.call("GET", "/api/v2/assets/events")[1]["asset_events"]
    assert [e["extra"]["rows"] for e in events if e["source_dag_id"] == "restore"] == [600]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("top_k", 0, "Invalid input for param top_k: 0 is less than the minimum of 1"),
        ("dataset", "ml 2m", "Invalid input for param dataset: 'ml 2m' does not match"),
    ],
)
def test_a_wrong_parameter_is_refused(airflow, name: str, value: Any, sentence: str):
    status, answer = airflow.trigger("nightly", **{name: value})
    assert status == 400
    assert sentence in answer["detail"]


def test_a_parameter_that_does_not_exist_fails_the_run_at_once(airflow, warehouse):
    """And what it left behind in its scratch goes all the same."""
    runs = sorted(warehouse.folder.glob("runs/*"))
    scratch = warehouse.folder / "staging/misspelt/delivery-1"
    scratch.mkdir(parents=True)
    body = {"dag_run_id": "misspelt", "logical_date": None, "conf": {"topk": 5}}
    assert airflow.call("POST", "/api/v2/dags/nightly/dagRuns", body)[0] == 200
    assert airflow.wait_for_end("nightly", "misspelt") == "failed"
    tasks = airflow.tasks("nightly", "misspelt")
    assert (tasks["prepare.ingest"]["state"], tasks["prepare.ingest"]["try_number"]) == (
        "failed",
        1,
    )
    assert tasks["tidy"]["state"] == "success"
    assert not scratch.parent.exists()
    assert sorted(warehouse.folder.glob("runs/*")) == runs


def connected(ranks: list[psutil.Process]) -> bool:
    """Whether every rank talks to others: training has begun."""
    try:
        return len(ranks) == 2 and all(
            any(link.status == psutil.CONN_ESTABLISHED for link in rank.net_connections())
            for rank in ranks
        )
    except psutil.Error:
        return False


def launches(process: psutil.Process) -> bool:
    """Whether it is the shell or Spark's launcher, which come first and name the class too."""
    command = command_of(process)
    # Those that have ended since they were found are these, as they do at once.
    return not command or bool({"bash", "org.apache.spark.launcher.Main"} & set(command))


def test_a_run_survives_a_killed_driver_a_killed_rank_and_a_killed_scheduler(
    airflow, warehouse, web
):
    status, run = airflow.trigger("nightly", dataset="ml-1m", source=web.source, ranks=2)
    assert status == 200, run
    run_id = run["dag_run_id"]

    def driver(job: str) -> list[psutil.Process]:
        found = processes("org.apache.spark.deploy.SparkSubmit", f"jobs/{job}.py", run_id)
        return [one for one in found if not launches(one)]

    output = warehouse.folder / "runs" / run_id.replace(":", "-").replace("+", "-") / "movies"
    wait_for("the first output of etl", output.exists)
    driver("etl")[0].kill()
    ranks = ("model.training.worker", str(warehouse.folder))

    def training() -> list[psutil.Process]:
        running = [rank for rank in processes(*ranks) if command_of(rank)[1:2] == ["-m"]]
        return running if connected(running) else []

    wait_for("two ranks that train", training)[1].kill()
    wait_for("the driver of score", lambda: driver("score"))
    airflow.scheduler().kill()
    with (airflow.said.parent / "second-scheduler.log").open("wb") as output_file:
        second = airflow.start(
            "source conf/airflow/environment.sh && "
            'AIRFLOW__API_AUTH__JWT_SECRET="$(cat "$AIRFLOW_HOME/jwt_secret")" '
            "exec airflow scheduler",
            output_file,
        )
    try:
        assert airflow.wait_for_end("nightly", run_id) == "success"
    finally:
        # One that is asked to end waits for its tasks, those of other DAGs too.
        os.killpg(second.pid, signal.SIGKILL)
        second.wait()
    tasks = airflow.tasks("nightly", run_id)
    assert tasks["prepare.etl"]["try_number"] == 2
    assert tasks["train.train"]["try_number"] == 2
    assert_published(warehouse, run_id.replace(":", "-"), users=120, top_k=20)
    assert not any((warehouse.folder / "staging").iterdir())
    rendered = str([task["rendered_fields"] for task in tasks.values()])
    assert web.source in rendered
    told = rendered + str(airflow.result("nightly", run_id, "summary"))
    assert not [secret for secret in PLANTED if secret in told]


def test_it_goes_with_its_terminal_and_no_secret_is_left(
    airflow, folder, watch: Watch, web: Web, s3
):
    """After all runs: in logs, Airflow's database, records, manifests, MLflow, command lines."""
    started = psutil.Process(airflow.process.pid).children(recursive=True)
    os.kill(airflow.process.pid, signal.SIGHUP)
    airflow.process.wait(120)
    wait_for("the end of all parts", lambda: not any(map(is_alive, started)), 120)
    watch.end()
    # What they are for has happened ...
    assert watch.saw_ranks
    # Of the run that failed, and perhaps of tasks that were lost with the scheduler.
    assert web.told
    copied = "nightreel/tables/recommendations/"
    listed = bucket_client(s3).list_objects_v2(Bucket="planted", Prefix=copied)
    assert listed["KeyCount"]
    # ... and nothing is left of what they are.
    assert not watch.found
    assert left_in(folder) == []
