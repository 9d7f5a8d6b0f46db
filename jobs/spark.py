"""The Spark session of a job; its settings lie in conf/spark/spark-defaults.conf."""

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.configuration import conf_folder


def spark_session(step: str, scratch: Path) -> SparkSession:
    """Start or join the session: spark-submit's master where there is one, else the conf's.

    On one machine, what Spark spills and shuffles lies in `scratch`, where it is found and removed
    if the job is killed; a cluster's executors have folders of their own.
    """
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        # Not started by spark-submit: the Spark that came with pyspark, and no other.
        os.environ.pop("SPARK_HOME", None)
    os.environ.setdefault("SPARK_CONF_DIR", str(conf_folder() / "spark"))
    # Without this, workers start whatever python3 stands on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(f"nightreel {step}")
    return builder.config("spark.local.dir", str(scratch)).getOrCreate()
