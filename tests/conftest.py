"""Fixtures that several rooms share."""

import os
import time
from contextlib import contextmanager

import pytest

# What the caller's shell says of other runs must not decide the tests.
for name in ("NIGHTREEL_WAREHOUSE", "NIGHTREEL_ENV", "NIGHTREEL_CONF", "NIGHTREEL_POSTGRESQL"):
    os.environ.pop(name, None)
# Spark hands timestamps to Python in the machine's zone.
os.environ["TZ"] = "UTC"
time.tzset()


@pytest.fixture(scope="session")
def s3():
    """The address of a real S3 server without a bucket."""
    from tests.servers.s3 import s3_server

    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3, monkeypatch):
    """The address of a new bucket, whose server and credentials the environment names."""
    from tests.servers.s3 import bucket_client, environment

    for name, value in environment(s3).items():
        monkeypatch.setenv(name, value)
    client = bucket_client(s3)
    name = f"bucket-{len(client.list_buckets()['Buckets'])}"
    client.create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture
def reject_credentials(s3):
    """Let the server look at credentials for a while: it knows of none."""
    import requests

    @contextmanager
    def rejected():
        requests.post(f"{s3}/moto-api/reset-auth", data=b"0", timeout=10)
        yield
        requests.post(f"{s3}/moto-api/reset-auth", data=b"inf", timeout=10)

    return rejected


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """One real Spark session for all tests of the jobs environment."""
    from jobs.engines.spark import spark_session

    session = spark_session("tests", tmp_path_factory.mktemp("spark"))
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()
