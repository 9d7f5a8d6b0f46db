"""Nightreel's commands, in processes forked from one that has imported them, on one Java.

Half of what a command takes on a small delivery is imports and Java's start. Each has a process and
a Spark context of its own all the same.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import pytest
from pyspark import SparkContext
from pyspark.java_gateway import launch_gateway

from jobs.nightreel import main
from tests.servers.forked import forked

ROOT = Path(__file__).resolve().parents[2]
# What Java is started with, by this process and by commands that start one of their own.
SPARK = {
    "SPARK_CONF_DIR": str(ROOT / "conf/spark"),
    "PYSPARK_PYTHON": sys.executable,
    "PYSPARK_SUBMIT_ARGS": "--conf spark.sql.shuffle.partitions=2 pyspark-shell",
}


@cache
def java() -> dict[str, str]:
    """What names to commands a Java that ends with this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPARK_HOME", raising=False)
        for name, value in SPARK.items():
            patch.setenv(name, value)
        told = launch_gateway().gateway_parameters
    return {"PYSPARK_GATEWAY_PORT": str(told.port), "PYSPARK_GATEWAY_SECRET": told.auth_token}


def run_command(
    arguments: tuple[str, ...], variables: Mapping[str, str], seconds: float
) -> CompletedProcess[str]:
    """Run a command to its end, whatever that is."""
    with tempfile.TemporaryDirectory() as folder:
        said, errors = Path(folder, "stdout"), Path(folder, "stderr")
        told = {**variables, **SPARK, **java()}
        process = forked(command, arguments, told, said=said, errors=errors)
        process.join(seconds)
        if process.is_alive():
            process.kill()
            raise TimeoutExpired(arguments, seconds, said.read_bytes(), errors.read_bytes())
        assert process.exitcode is not None
        return CompletedProcess(arguments, process.exitcode, said.read_text(), errors.read_text())


def command(arguments: tuple[str, ...], variables: dict[str, str]) -> None:
    """What such a process does."""
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(ROOT)
    sys.argv = ["nightreel", *arguments]
    try:
        main()
    finally:
        # Java holds one context at a time.
        if context := SparkContext._active_spark_context:
            context.stop()
