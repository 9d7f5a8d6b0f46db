"""An MLflow server of its own on a loopback port, which keeps artifacts where it is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests


@contextmanager
def mlflow_server(folder: Path, artifacts: str) -> Iterator[str]:
    """Start a server with its database in `folder`; yields its address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}"]
    command += ["--workers=1", f"--backend-store-uri=sqlite:///{folder}/server.db"]
    command += [f"--artifacts-destination={artifacts}"]
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + 180
    # Without it, the server starts in half the time.
    variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=variables, start_new_session=True
        )
        try:
            while not is_up(address):
                assert server.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < until, (folder / "server.log").read_text()
                time.sleep(0.2)
            yield address
        finally:
            # Its workers too.
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def is_up(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.ConnectionError:
        return False
