"""The process from which Spark forks tasks' Python, with what scoring imports: once for all cores.

Spark starts it, by `spark.python.daemon.module`, in place of pyspark.daemon.
"""

from __future__ import annotations

from pyspark.daemon import manager

import jobs.scoring.task  # noqa: F401

if __name__ == "__main__":
    manager()
