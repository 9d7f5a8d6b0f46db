"""Secrets are planted for a whole run in Airflow, and then looked for wherever it leaves anything.

Two ranks train; the release comes from a presigned address; publish copies to PostgreSQL and to an
S3 server; a webhook that refuses is told of a run that fails.
"""

import shutil
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import yaml

from tests.end_to_end.airflow import Airflow
from tests.end_to_end.conftest import ROOT, Warehouse
from tests.servers.postgresql import PASSWORD, postgresql_server
from tests.servers.s3 import SECRET, bucket_client, environment

SIGNATURE, HOOK, MLFLOW = "planted-signature", "planted-hook", "planted-password"
PLANTED = [SIGNATURE, HOOK, MLFLOW]
PLANTED += [form for secret in (PASSWORD, SECRET) for form in (secret, quote(secret, safe=""))]


class Web(ThreadingHTTPServer):
    """Gives a zip to who has the signature, and refuses what it is told."""

    content = b""
    told = 0


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        known = query == f"X-Amz-Signature={SIGNATURE}"
        body = self.server.content if path == "/ml-1m.zip" and known else b""
        self.send_response(200 if body else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.told += self.path == f"/{HOOK}"
        self.send_error(500)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web(delivery: Path, tmp_path: Path) -> Iterator[Web]:
    with Web(("127.0.0.1", 0), Handler) as server:
        zipped = shutil.make_archive(str(tmp_path / "served"), "zip", delivery)
        server.content = Path(zipped).read_bytes()
        Path(zipped).unlink()
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def watch(found: set[str], seen: set[str], until: Event) -> None:
    """Note every command line of the machine on which something planted stands."""
    while not until.is_set():
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if "model.training.worker" in line:
                seen.add("ranks")
            found |= {line for secret in PLANTED if secret in line}
        time.sleep(0.05)


def left_in(folder: Path) -> list[str]:
    """The files, logs and databases among them, in which something planted stands."""
    return [
        f"{file}: {secret}"
        for file in folder.rglob("*")
        if file.is_file()
        for secret in PLANTED
        if secret.encode() in file.read_bytes()
    ]


@pytest.mark.timeout(900)
def test_no_secret_is_left_anywhere(tmp_path, s3, web):
    client = bucket_client(s3)
    client.create_bucket(Bucket="planted")
    conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    published = {"publish": {"object_store": "s3://planted/nightreel"}}
    small = {"matrix_factorisation": {"factors": 8, "learning_rate": 0.02, "epochs": 20}}
    (conf / "local.yaml").write_text(yaml.safe_dump(published | {"train": small}))
    warehouse = Warehouse(tmp_path / "warehouse")
    home = tmp_path / "airflow"
    home.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = f"http://127.0.0.1:{web.server_port}/ml-1m.zip"
    with postgresql_server() as dsn:
        with_password = dsn.replace("nightreel@", f"nightreel:{quote(PASSWORD, safe='')}@")
        variables = {
            **environment(s3),
            "NIGHTREEL_CONF": str(conf),
            "NIGHTREEL_WAREHOUSE": str(warehouse.folder),
            "NIGHTREEL_SCHEDULE": "",
            "NIGHTREEL_RETRIES": "0",
            "NIGHTREEL_POSTGRESQL": with_password,
            "NIGHTREEL_SOURCE": f"{source}?X-Amz-Signature={SIGNATURE}",
            "MLFLOW_TRACKING_PASSWORD": MLFLOW,
            "AIRFLOW_VAR_NIGHTREEL_ALERT_WEBHOOK": f"http://127.0.0.1:{web.server_port}/{HOOK}",
        }
        lines: set[str] = set()
        seen: set[str] = set()
        ended = Event()
        watching = Thread(target=watch, args=(lines, seen, ended), daemon=True)
        watching.start()
        airflow = Airflow(home, port, **variables)
        try:
            assert airflow.call("PATCH", "/api/v2/dags/nightly", {"is_paused": False})[0] == 200
            asked = {"dataset": "ml-1m", "source": source, "ranks": 2}
            run = airflow.trigger("nightly", **asked)[1]["dag_run_id"]
            failing = airflow.trigger("nightly", topk=1)[1]["dag_run_id"]
            assert airflow.wait_for_end("nightly", run) == "success"
            assert airflow.wait_for_end("nightly", failing) == "failed"
            tasks = airflow.tasks("nightly", run)
            rendered = str([task["rendered_fields"] for task in tasks.values()])
            assert source in rendered
            results = str([airflow.result("nightly", run, task) for task in ("summary",)])
            assert not [secret for secret in PLANTED if secret in rendered + results]
        finally:
            ended.set()
            watching.join()
            airflow.stop()
    # All of it has happened ...
    assert seen == {"ranks"}
    assert web.told == 1
    copied = "nightreel/tables/recommendations/"
    assert client.list_objects_v2(Bucket="planted", Prefix=copied)["KeyCount"]
    assert warehouse.sql("select count(*) > 0 from recommendations") == [(True,)]
    # ... and nothing is left of what it was told: logs, Airflow's database with its rendered
    # templates and XCom, records, manifests, MLflow, command lines.
    assert not lines
    assert left_in(tmp_path) == []
