"""Whole runs over several hosts: Spark's workers, ranks on both, and a host that dies meanwhile.

Airflow and the drivers are on one host, Spark's workers and the ranks on two others. All see the
checkout with its environments and a folder with the warehouse, and nothing else of one another.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml

from jobs.published.views import connect
from jobs.runs.warehouse import warehouse_named
from tests.end_to_end.airflow import wait_for
from tests.end_to_end.conftest import write_delivery
from tests.servers.commands import ROOT
from tests.servers.hosts import INTERFACE, Host, network
from tests.servers.ssh import SshServer, ssh_server

SSH_PORT = 2222
MASTER = "spark://driver:7077"
# What of conf/cluster is too much for three small hosts; and what tells who did what.
SPARK = """
spark.driver.memory 1g
spark.executor.memory 700m
spark.executor.memoryOverheadFactor 0.1
spark.cores.max 2
spark.sql.shuffle.partitions 4
spark.ui.enabled false
spark.eventLog.enabled true
spark.eventLog.compress false
spark.eventLog.rolling.enabled false
# So that both workers have something to do: tasks of seconds would wait for the host of their rows.
spark.scheduler.minRegisteredResourcesRatio 1.0
spark.locality.wait 0
spark.master {master}
spark.eventLog.dir file://{events}
"""
# So long that a host can die meanwhile.
LEARNING = {"factors": 8, "learning_rate": 0.001, "batch_size": 256, "epochs": 400, "patience": 400}
NIGHTLY = """
set -e
conf/airflow/prepare_database.sh
source conf/airflow/environment.sh
exec .venv-airflow/bin/python conf/airflow/run_nightly.py
"""
# At most; on two idle cores it takes three minutes.
NIGHT_SECONDS = 1_200
# Javas of seconds: their optimising compiler would only delay them.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@dataclass
class Cluster:
    """The hosts, and the folder that they share."""

    folder: Path
    driver: Host
    workers: list[Host]
    ssh: SshServer

    @property
    def variables(self) -> dict[str, str]:
        """The environment of all that runs on a host."""
        inherited = ("HOME", "LANG", "TZ", "JAVA_HOME")
        return {name: os.environ[name] for name in inherited if name in os.environ} | {
            "PATH": self.ssh.path,
            "SPARK_HOME": str(Path(pyspark.__file__).parent),
            "SPARK_CONF_DIR": str(self.folder / "spark"),
            "SPARK_SUBMIT_OPTS": QUICK,
            "SPARK_DAEMON_JAVA_OPTS": QUICK,
            "SPARK_DAEMON_MEMORY": "256m",
            "NIGHTREEL_CONF": str(self.folder / "conf"),
            "NIGHTREEL_WAREHOUSE": str(self.folder / "warehouse"),
            "NIGHTREEL_AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW_CONN_SPARK": json.dumps({"conn_type": "spark", "host": MASTER}),
        }

    def start_spark(self, host: Host, service: str, ready: str, *options: str) -> None:
        """Start a service of Spark's, and wait until it has said that it is ready."""
        said = self.folder / f"{service}-{host.name}.log"
        before = said.read_text().count(ready) if said.exists() else 0
        program = f"{self.variables['SPARK_HOME']}/bin/spark-class"
        name = f"org.apache.spark.deploy.{service.lower()}.{service}"
        # With settings of its own, which are none: it and its executors tell of every task.
        variables = self.variables | {"SPARK_CONF_DIR": str(self.folder / "services")}
        started = host.start([program, name, "--host", host.name, *options], variables, said)

        def is_ready() -> bool:
            assert started.poll() is None, said.read_text()
            return said.read_text().count(ready) > before

        wait_for(f"{service} of {host.name}", is_ready)

    def start_worker(self, host: Host) -> None:
        """Start what a worker's host runs, and wait until the master knows it."""
        host.start(self.ssh.command, self.variables, self.folder / f"sshd-{host.name}.log")
        work = ["--work-dir", str(self.folder / "work" / host.name)]
        ready = "Successfully registered with master"
        self.start_spark(host, "Worker", ready, *work, "--cores", "1", "--memory", "1g", MASTER)

    def lose(self, host: Host) -> None:
        """Have a worker's host die with all that it does, and come back."""
        host.crash()
        self.start_worker(host)

    def start(self, *command: str, **variables: str) -> tuple[subprocess.Popen[str], Path]:
        """Start a command on the driver's host; returns it, and the file in which it says all."""
        said = self.folder / f"said-{len(list(self.folder.glob('said-*')))}.log"
        return self.driver.start(command, self.variables | variables, said), said

    def run(self, step: str, *options: str, **variables: str) -> None:
        """Run a step to its end, which must be a good one."""
        command = [sys.executable, "-m", "jobs.nightreel", step, *options]
        running, said = self.start(*command, **variables)
        assert running.wait(600) == 0, f"{step}: {said.read_text()}"

    def record(self, run: str, step: str) -> dict[str, Any]:
        """What a step has recorded, but for its seconds."""
        file = self.folder / "warehouse/runs" / run / "steps" / f"{step}.json"
        return json.loads(file.read_text()) | {"seconds": None}

    def sql(self, query: str) -> list[tuple]:
        with connect(warehouse_named(str(self.folder / "warehouse"))) as tables:
            return tables.sql(query).fetchall()

    def tasks_said(self, host: Host) -> int:
        """How many tasks Spark's executors on a host have begun."""
        files = (self.folder / "work" / host.name).glob("app-*/*/stderr")
        return sum(file.read_text().count("Running task") for file in files)

    def tasks_of(self, application: str) -> set[tuple[str, str]]:
        """Host and end of the tasks of Spark's newest application of this name."""
        logs = [file.read_text() for file in sorted((self.folder / "events").iterdir())]
        newest = [log for log in logs if f'"App Name":"{application}"' in log][-1]
        events = map(json.loads, newest.splitlines())
        ended = [event for event in events if event["Event"] == "SparkListenerTaskEnd"]
        return {(e["Task Info"]["Host"], e["Task End Reason"]["Reason"]) for e in ended}


def configure(folder: Path, workers: list[str], ssh: SshServer) -> None:
    """conf/ with elastic ranks on the workers' hosts, and Spark's settings for them."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("locks"))
    train = {
        "ranks": 2,
        "elastic": True,
        "hosts": ",".join(f"{name}:1" for name in workers),
        "horovodrun_options": [*ssh.options, "--network-interfaces", INTERFACE],
        "matrix_factorisation": LEARNING,
    }
    settings = {"train": train, "etl": {"min_row_groups": 4}}
    (folder / "conf/local.yaml").write_text(yaml.safe_dump(settings))
    shutil.copytree(ROOT / "conf/cluster", folder / "spark")
    for empty in ("events", "services"):
        (folder / empty).mkdir()
    with (folder / "spark/spark-defaults.conf").open("a") as defaults:
        defaults.write(SPARK.format(master=MASTER, events=folder / "events"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with network(folder, ["driver", "one", "two"], [folder, ROOT]) as [driver, *workers]:
        (folder / "ssh").mkdir()
        ssh = ssh_server(folder / "ssh", ["0.0.0.0"], SSH_PORT)
        configure(folder, [host.name for host in workers], ssh)
        write_delivery(folder / "delivery")
        cluster = Cluster(folder, driver, workers, ssh)
        cluster.start_spark(driver, "Master", "New state: ALIVE", "--port", "7077")
        for host in workers:
            cluster.start_worker(host)
        yield cluster


@pytest.fixture(scope="module")
def night(cluster) -> str:
    """What a night of Airflow has said, during which a host died three times, with all it did."""
    victim, deadline = cluster.workers[1], time.monotonic() + NIGHT_SECONDS
    options = {"DATASET": "ml-1m", "SOURCE": str(cluster.folder / "delivery"), "DS": "2026-01-02"}
    running, said = cluster.start("bash", "-c", NIGHTLY, **options)

    def wait(reached: Callable[[], object]) -> None:
        while not reached():
            assert running.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.05)

    def dies_with_a_task() -> None:
        before = cluster.tasks_said(victim)
        wait(lambda: cluster.tasks_said(victim) > before)
        cluster.lose(victim)

    wait(lambda: "etl: run" in said.read_text())
    dies_with_a_task()
    wait(lambda: re.search(r"epoch +[3-9]/", said.read_text()))
    cluster.lose(victim)
    wait(lambda: "score: run" in said.read_text())
    dies_with_a_task()
    wait(lambda: running.poll() is not None or "report: done" in said.read_text())
    assert running.wait(120) == 0, said.read_text()
    return said.read_text()


def test_airflow_runs_a_night_on_two_hosts_one_of_which_dies_again_and_again(cluster, night):
    assert "going on from a commit" in night
    for step in ("etl", "score"):
        tasks = cluster.tasks_of(f"nightreel {step}")
        assert {host for host, _ in tasks} == {"one", "two"}
        assert ("one", "Success") in tasks
    lists = "select count(distinct user_id), count(*) from recommendations"
    assert cluster.sql(lists) == [(120, 120 * 20)]


def test_ranks_on_spark_and_an_etl_that_says_what_one_host_says(cluster, night):
    options = ["--dataset=ml-1m", f"--source={cluster.folder / 'delivery'}", "--ds=2026-01-03"]
    ranks = ["--set=train.launcher=spark", "--set=train.hosts=null", "--set=train.elastic=false"]
    short = "--set=train.matrix_factorisation.epochs=10"
    on_one_host = {"SPARK_CONF_DIR": str(ROOT / "conf/spark")}
    cluster.run("ingest", "--run-id=second", *options, *ranks, short)
    cluster.run("etl", "--run-id=second", **on_one_host)
    for step in ("check", "plan", "train"):
        cluster.run(step, "--run-id=second")
    [(first,)] = cluster.sql("select run_id from runs")
    assert cluster.record("second", "etl") == cluster.record(first, "etl")
    assert cluster.record("second", "train")["ranks"] == 2
    assert cluster.tasks_of("nightreel train") == {("one", "Success"), ("two", "Success")}
