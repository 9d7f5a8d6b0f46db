"""Spark sessions, and what a person sees while Spark's tasks run."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from jobs.engines.host import (
    require_java,
    require_java_scratch,
    require_own_scratch,
    require_room,
)
from jobs.runs.configuration import conf_folder
from jobs.runs.errors import JobError


def spark_session(
    step: str,
    scratch: Path,
    delivery: Path | None = None,
    new_kib: int | None = None,
    worker_daemon: str | None = None,
) -> SparkSession:
    """Start or join the session: spark-submit's master where there is one, else the conf's.

    On one machine, what Spark spills and shuffles lies in `scratch`, where it is found and removed
    if the job is killed, unless spark-defaults.conf names a folder; a cluster has its own. By the
    size of `delivery`, or of what is new in it where that is all that is read,
    conf/spark/spark-env.sh chooses Java's options, where Java starts here. `worker_daemon`: the
    module in place of pyspark.daemon, from which tasks' Python is forked.
    Raises JobError where this host lacks what Java needs.
    """
    require_own_scratch()
    require_java_scratch()
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        require_java()
        # Not started by spark-submit: the Spark that came with pyspark, and no other.
        os.environ.pop("SPARK_HOME", None)
        if delivery:
            os.environ["NIGHTREEL_DELIVERY"] = str(delivery)
            os.environ["NIGHTREEL_NEW_KIB"] = "" if new_kib is None else str(new_kib)
    os.environ.setdefault("SPARK_CONF_DIR", str(conf_folder() / "spark"))
    # Without this, workers start whatever python3 stands on PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(f"nightreel {step}")
    if worker_daemon:
        builder = builder.config("spark.python.daemon.module", worker_daemon)
    if not names_setting("spark.local.dir"):
        scratch.mkdir(parents=True, exist_ok=True)
        require_room(scratch, "choose another warehouse.")
        builder = builder.config("spark.local.dir", str(scratch))
    try:
        return builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        raise JobError("Spark's Java ended as soon as it began; it has said why above.") from None


def names_setting(name: str) -> bool:
    """Whether the settings that Spark reads have one of this name, as `spark.master`."""
    # Where spark-env.sh has named the settings to spark-submit, the folder is an empty one.
    folder = os.environ.get("NIGHTREEL_SPARK_CONF") or os.environ.get("SPARK_CONF_DIR")
    defaults = Path(folder or conf_folder() / "spark", "spark-defaults.conf")
    if not defaults.is_file():
        return False
    return bool(re.search(rf"(?m)^\s*{re.escape(name)}\b", defaults.read_text(encoding="utf-8")))


def together(spark: SparkSession, *works: Callable[[], Any]) -> list[Any]:
    """Do some works at once, so that the jobs of one use cores that those of another leave idle.

    Returns their results. If one fails, the others are stopped, and its error is raised.
    """
    with ThreadPoolExecutor(len(works)) as pool:
        started = [pool.submit(work) for work in works]
        try:
            for work in as_completed(started):
                work.result()
        except BaseException:
            spark.sparkContext.cancelAllJobs()
            raise
    return [work.result() for work in started]


@contextmanager
def show_tasks(spark: SparkSession, step: str) -> Iterator[None]:
    """While Spark jobs run in the block, print a line for every tenth of their tasks."""
    context, started, ended = spark.sparkContext, time.monotonic(), threading.Event()
    group = f"{step}-{uuid4().hex}"
    context.setJobGroup(group, step)

    def watch() -> None:
        tracker, told = context.statusTracker(), 0
        while not ended.wait(1):
            jobs = filter(None, map(tracker.getJobInfo, tracker.getJobIdsForGroup(group)))
            stages = [tracker.getStageInfo(stage) for job in jobs for stage in job.stageIds]
            done = sum(stage.numCompletedTasks for stage in stages if stage)
            total = sum(stage.numTasks for stage in stages if stage)
            tenth = 10 * done // max(total, 1)
            if told < tenth < 10:
                seconds = time.monotonic() - started
                print(f"{step}: {done} of {total} tasks, {seconds:.0f} s", flush=True)
                told = tenth

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
