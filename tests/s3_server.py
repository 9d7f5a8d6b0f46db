"""An S3 server of its own, on a loopback port: moto's."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

KEY, SECRET = "reader", "s3cret/of+readers"


def environment(endpoint: str) -> dict[str, str]:
    """The variables by which delta-rs, and with it Nightreel, finds the server."""
    return {
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
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr
            lines = iter(server.stderr.readline, b"")
            found = (re.search(rb"Running on (http://127\.0\.0\.1:\d+)", line) for line in lines)
            yield next(address[1].decode() for address in found if address)
        finally:
            server.terminate()


def bucket_client(endpoint: str):
    """A client of the server for the tests themselves."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
