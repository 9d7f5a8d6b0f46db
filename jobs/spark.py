"""The Spark session of a job; its settings lie in conf/spark/spark-defaults.conf."""

import os
import re
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from jobs.configuration import conf_folder


def spark_session(step: str, scratch: Path) -> SparkSession:
    """Start or join the session: spark-submit's master where there is one, else the conf's.

    On one machine, what Spark spills and shuffles lies in `scratch`, where it is found and removed
    if the job is killed, unless spark-defaults.conf names a folder; a cluster has its own.
    """
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        # Not started by spark-submit: the Spark that came with pyspark, and no other.
        os.environ.pop("SPARK_HOME", None)
    os.environ.setdefault("SPARK_CONF_DIR", str(conf_folder() / "spark"))
    # Without this, workers start whatever python3 stands on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(f"nightreel {step}")
    defaults = Path(os.environ["SPARK_CONF_DIR"], "spark-defaults.conf")
    named = defaults.is_file() and re.search(r"(?m)^\s*spark\.local\.dir\b", defaults.read_text())
    if not named:
        builder = builder.config("spark.local.dir", str(scratch))
    return builder.getOrCreate()
