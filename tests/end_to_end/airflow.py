"""A real Airflow, started as `make airflow` starts it, and its REST API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
START = """
conf/airflow/prepare_database.sh &&
source conf/airflow/environment.sh &&
exec .venv-airflow/bin/python conf/airflow/standalone.py
"""


def wait_for(what: str, reached: Callable[[], Any], seconds: float = 240) -> Any:
    """The first true answer. Fails, saying what was waited for, after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := reached()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
    return answer


class Airflow:
    """Airflow on a port and with a database of its own."""

    def __init__(self, folder: Path, port: int, **variables: str) -> None:
        self.address = f"http://{variables.get('AIRFLOW__API__HOST', 'localhost')}:{port}"
        self.variables = os.environ | {
            "NIGHTREEL_AIRFLOW_HOME": str(folder),
            "AIRFLOW__API__PORT": str(port),
            **variables,
        }
        self.said = folder / "terminal.log"
        with self.said.open("wb") as output:
            self.process = self.start(START, output)
        wait_for("Airflow", lambda: "Airflow is ready" in self.said.read_text())
        found = re.search(r"password +(\S+)", self.said.read_text())
        assert found
        self.headers = {"Content-Type": "application/json"}
        login = {"username": "admin", "password": found.group(1)}
        status, token = self.call("POST", "/auth/token", login)
        assert status == 201, token
        self.headers["Authorization"] = f"Bearer {token['access_token']}"

    def start(self, script: str, output: Any) -> subprocess.Popen[bytes]:
        """Run a script in Airflow's environment, in a group of processes of its own."""
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=ROOT,
            env=self.variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End all of it, if it still runs, and do not wait for tasks."""
        if self.process.poll() is not None:
            return
        started = [self.process.pid, *(c.pid for c in psutil.Process(self.process.pid).children())]
        for group in started:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self.process.wait()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer of the REST API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data=data, headers=self.headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def trigger(self, dag: str, **conf: Any) -> tuple[int, Any]:
        """Status and answer; the run has no logical date."""
        body = {"logical_date": None, "conf": conf}
        return self.call("POST", f"/api/v2/dags/{dag}/dagRuns", body)

    def runs(self, dag: str) -> list[str]:
        return [
            run["dag_run_id"]
            for run in self.call("GET", f"/api/v2/dags/{dag}/dagRuns")[1]["dag_runs"]
        ]

    def state(self, dag: str, run: str) -> str:
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")[1]["state"]

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances"
        return {task["task_id"]: task for task in self.call("GET", path)[1]["task_instances"]}

    def result(self, dag: str, run: str, task: str) -> Any:
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.call("GET", path)[1]["value"]

    def wait_for_end(self, dag: str, run: str) -> str:
        """The state in which a run ends."""
        ended = ("success", "failed")

        def has_ended() -> bool:
            # Each question costs the server what tasks could use.
            time.sleep(0.5)
            return self.state(dag, run) in ended

        wait_for(f"the end of {run}", has_ended, 900)
        return self.state(dag, run)

    def listeners(self) -> set[tuple[str, int]]:
        """Where all that it started listens."""
        found = set()
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                found |= {
                    (link.laddr.ip, link.laddr.port)
                    for link in process.net_connections()
                    if link.status == psutil.CONN_LISTEN
                }
        return found

    def scheduler(self) -> psutil.Process:
        """The process of the scheduler."""
        parts = psutil.Process(self.process.pid).children()
        return next(part for part in parts if "scheduler" in command_of(part))


def command_of(process: psutil.Process) -> list[str]:
    """The words of its command line; none if it has ended since it was found."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def is_alive(process: psutil.Process) -> bool:
    """Whether it still does anything."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def processes(*words: str) -> list[psutil.Process]:
    """The processes whose command lines hold all of these words."""
    found = []
    for process in psutil.process_iter():
        line = " ".join(command_of(process))
        if all(word in line for word in words):
            found.append(process)
    return found
