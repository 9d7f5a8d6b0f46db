"""Start Airflow on this machine: scheduler, web interface and REST API, with our DAGs.

    source conf/airflow/environment.sh && python conf/airflow/standalone.py

Says where to go and with which password, and when Airflow is ready. All that Airflow says goes to a
log. Ctrl-C, or ending this process, stops all parts of Airflow.
"""

import ctypes
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTS = (
    ("api-server",),
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)
PR_SET_PDEATHSIG = 1
READY_WITHIN_SECONDS = 180
STOPPED_WITHIN_SECONDS = 60


def password_of_admin(home: Path) -> str:
    """The password of the user admin; Airflow would print one among hundreds of lines."""
    file = home / "simple_auth_manager_passwords.json.generated"
    known = json.loads(file.read_text()) if file.is_file() and file.stat().st_size else {}
    if "admin" not in known:
        known["admin"] = secrets.token_urlsafe(12)
        write_private(file, json.dumps(known) + "\n")
    return known["admin"]


def signing_key(home: Path) -> str:
    """The key of the tokens that Airflow's parts show one another; its own is too short."""
    file = home / "jwt_secret"
    # Empty where the disk was full, or went off, when it was made.
    if not file.is_file() or not file.read_text().strip():
        write_private(file, secrets.token_hex(64))
    return file.read_text()


def write_private(file: Path, content: str) -> None:
    """Write a file for this user alone, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as opened:
        try:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        except OSError:
            os.unlink(opened.name)
            raise
    os.replace(opened.name, file)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the database against another scheduler and `make nightly`, which share it among them.

    Ends this process with a sentence where one of these is at work.
    """
    with (home / "in-use.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(
                f"make airflow or make nightly is at work on {home} already, and the scheduler "
                "would run the same tasks. Wait until it has ended, or stop it."
            )
        yield


def is_taken(host: str, port: int) -> bool:
    """Whether some other program answers there already."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def is_ready(address: str) -> bool:
    """Whether the interface answers and the scheduler and the DAG processor work."""
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=5) as answer:
            health = json.load(answer)
    except OSError:
        return False
    return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))


def start(part: str, *options: str, log: BinaryIO) -> subprocess.Popen[bytes]:
    """Start one part of Airflow, which ends when this process does, however that happens."""
    return subprocess.Popen(
        ["airflow", part, *options],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # A group of its own: Ctrl-C reaches this process, which stops the parts in order.
        start_new_session=True,
        preexec_fn=end_with_parent if sys.platform == "linux" else None,
    )


def end_with_parent() -> None:
    """Have the kernel ask this process to end when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(parts: list[subprocess.Popen[bytes]]) -> None:
    """Ask the parts to stop; end those that do not, with all that they started."""
    for part in parts:
        part.terminate()
    deadline = time.monotonic() + STOPPED_WITHIN_SECONDS
    for part in parts:
        try:
            part.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            os.killpg(part.pid, signal.SIGKILL)


def run(log: Path, address: str) -> int:
    """Start Airflow, say when it is ready, and wait until it ends or is to be stopped."""
    # Unlike `airflow standalone`, without the servers of logs, which listen on all addresses: the
    # interface reads them from the disk.
    with log.open("wb") as output:
        parts: list[subprocess.Popen[bytes]] = []
        try:
            parts += [start(*words, log=output) for words in PARTS]
            deadline = time.monotonic() + READY_WITHIN_SECONDS
            while (
                all(part.poll() is None for part in parts)
                and time.monotonic() < deadline
                and not is_ready(address)
            ):
                time.sleep(1)
            if is_ready(address):
                print("Airflow is ready. Ctrl-C stops it.", flush=True)
                for part in parts:
                    part.wait()
        except KeyboardInterrupt:
            print("Airflow stops ...", flush=True)
            return 0
        finally:
            stop(parts)
    print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:]), file=sys.stderr)
    print(f"Airflow did not start, or has ended. All that it said: {log}", file=sys.stderr)
    return 1


def main() -> int:
    """Start and return the exit status."""
    # They may be ignored by whoever starts this in the background, and so by Airflow. The last one
    # comes when the terminal is closed.
    for asked_to_end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked_to_end, signal.default_int_handler)
    home = Path(os.environ["AIRFLOW_HOME"])
    host, port = os.environ["AIRFLOW__API__HOST"], int(os.environ["AIRFLOW__API__PORT"])
    # Of this machine, where the interface answers on all addresses.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    if is_taken(host, port):
        print(
            f"Port {port} is taken. Stop what runs there, or choose another: "
            f"AIRFLOW__API__PORT={port + 1} make airflow",
            file=sys.stderr,
        )
        return 1
    with alone(home):
        os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = signing_key(home)
        log = home / "standalone.log"
        print(
            f"""Airflow starts, which takes about half a minute. Then:

    address    {os.environ["AIRFLOW__API__BASE_URL"]}
    user       admin
    password   {password_of_admin(home)}

Switch the DAG `nightly` on there, or trigger it. All that Airflow says: {log}""",
            flush=True,
        )
        return run(log, f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


if __name__ == "__main__":
    sys.exit(main())
