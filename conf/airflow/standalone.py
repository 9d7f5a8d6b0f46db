"""Start Airflow on this machine: scheduler, web interface and REST API, with our DAGs.

    source conf/airflow/environment.sh && python conf/airflow/standalone.py

Says where to go and with which password, and when Airflow is ready. All that Airflow says goes to a
log. Ctrl-C, or ending this process, stops all parts of Airflow.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

READY_WITHIN_SECONDS = 180
STOPPED_WITHIN_SECONDS = 60


def password_of_admin(home: Path) -> str:
    """The password of the user admin; Airflow would print one among hundreds of lines."""
    file = home / "simple_auth_manager_passwords.json.generated"
    known = json.loads(file.read_text()) if file.is_file() and file.stat().st_size else {}
    if "admin" not in known:
        known["admin"] = secrets.token_urlsafe(12)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.write(json.dumps(known) + "\n")
    return known["admin"]


def signing_key(home: Path) -> str:
    """The key of the tokens that Airflow's parts show one another; its own is too short."""
    file = home / "jwt_secret"
    if not file.is_file():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.write(secrets.token_hex(64))
    return file.read_text()


def is_taken(host: str, port: int) -> bool:
    """Whether some other program answers there already."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


def is_ready(address: str) -> bool:
    """Whether the interface answers and the scheduler and the DAG processor work."""
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except OSError:
        return False
    return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))


def stop(airflow: subprocess.Popen[bytes]) -> None:
    """Ask Airflow to stop its parts; if it does not, end them all."""
    airflow.send_signal(signal.SIGINT)
    try:
        airflow.wait(STOPPED_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(airflow.pid, signal.SIGKILL)


def run(log: Path, address: str) -> int:
    """Start Airflow, say when it is ready, and wait until it ends or is to be stopped."""
    with log.open("wb") as output:
        airflow = subprocess.Popen(
            ["airflow", "standalone"],
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C reaches this process, which stops Airflow in order.
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + READY_WITHIN_SECONDS
            while airflow.poll() is None and time.monotonic() < deadline and not is_ready(address):
                time.sleep(1)
            if is_ready(address):
                print("Airflow is ready. Ctrl-C stops it.", flush=True)
                airflow.wait()
        except KeyboardInterrupt:
            print("Airflow stops ...", flush=True)
            stop(airflow)
            return 0
        if airflow.poll() is None:
            stop(airflow)
    print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:]), file=sys.stderr)
    print(f"Airflow did not start, or has ended. All that it said: {log}", file=sys.stderr)
    return 1


def main() -> int:
    """Start and return the exit status."""
    # Both may be ignored by whoever starts this in the background, and so by Airflow.
    for asked_to_end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked_to_end, signal.default_int_handler)
    home = Path(os.environ["AIRFLOW_HOME"])
    host, port = os.environ["AIRFLOW__API__HOST"], int(os.environ["AIRFLOW__API__PORT"])
    if is_taken(host, port):
        print(
            f"Port {port} is taken. Stop what runs there, or choose another: "
            f"AIRFLOW__API__PORT={port + 1} make airflow",
            file=sys.stderr,
        )
        return 1
    os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = signing_key(home)
    log = home / "standalone.log"
    print(
        f"""Airflow starts, which takes about half a minute. Then:

    address    http://localhost:{port}
    user       admin
    password   {password_of_admin(home)}

Switch the DAG `nightly` on there, or trigger it. All that Airflow says: {log}""",
        flush=True,
    )
    return run(log, f"http://localhost:{port}")


if __name__ == "__main__":
    sys.exit(main())
