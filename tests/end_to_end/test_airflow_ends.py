"""Airflow on another address: it starts, refuses company, and its parts end when it is killed."""

import socket
import subprocess

import psutil

from tests.end_to_end.airflow import Airflow, is_alive, wait_for
from tests.end_to_end.conftest import ROOT


def test_airflow_on_another_address_is_alone_and_leaves_nothing_running(tmp_path):
    # As a full disk leaves them.
    (tmp_path / "jwt_secret").touch(0o600)
    (tmp_path / "simple_auth_manager_passwords.json.generated").touch(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    airflow = Airflow(
        tmp_path,
        port,
        AIRFLOW__API__HOST="127.0.0.2",
        NIGHTREEL_WAREHOUSE=str(tmp_path / "warehouse"),
    )
    try:
        assert airflow.listeners() == {("127.0.0.2", port)}
        assert f"http://127.0.0.2:{port}" in airflow.said.read_text()
        # Whoever reaches it otherwise, as the scheduler would run the same tasks.
        for command in ("run_nightly.py", "standalone.py"):
            script = "source conf/airflow/environment.sh && .venv-airflow/bin/python conf/airflow/"
            beside = subprocess.run(
                ["bash", "-c", script + command],
                cwd=ROOT,
                env=airflow.variables | {"AIRFLOW__API__PORT": "1"},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert beside.returncode == 1
            assert "the scheduler would run the same tasks" in beside.stderr.replace("its", "the")
        started = psutil.Process(airflow.process.pid).children(recursive=True)
        airflow.process.kill()
        airflow.process.wait(120)
        wait_for("the end of all parts", lambda: not any(map(is_alive, started)), 120)
    finally:
        airflow.stop()
