"""Show how far a Spark job is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from pyspark.sql import SparkSession


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
