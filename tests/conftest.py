"""Fixtures that several rooms share."""

import pytest


@pytest.fixture(scope="session")
def spark():
    """One real Spark session for all tests of the jobs environment."""
    from jobs.spark import spark_session

    session = spark_session("tests")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()
