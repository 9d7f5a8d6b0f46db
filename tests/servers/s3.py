"""An S3 server of its own, on a loopback port: moto's."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

KEY, SECRET = "reader", "s3cret/of+readers"


def environment(endpoint: str) -> dict[str, str]:
    """The variables by which delta-rs, and with it Nightreel, finds the server."""
    return {
        "NO_PROXY": "127.0.0.1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server that has no bucket yet; yields its address."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    # It logs every request: nobody would empty a pipe.
    with tempfile.NamedTemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield address(Path(log.name))
        finally:
            server.terminate()
            server.wait(30)


def address(log: Path) -> str:
    until = time.monotonic() + 60
    while not (found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())):
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    return found[1]


def bucket_client(endpoint: str) -> Any:
    """A client of the server for the tests themselves."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
