"""A whole night by `make nightly`: seconds of each step, of all, and of the command, beside Spark.

    PYTHONPATH=. python tests/benchmarks/whole_night.py sample
    PYTHONPATH=. python tests/benchmarks/whole_night.py ml-1m ../shared/data/ml-1m.zip

The limit beside it is a bare `spark-submit` that starts a session and stops it, in the same run: a
night needs two. Seconds of a step are from its first line to its record, the start of its process
included in those of the command alone. Memory is the highest of any one process.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPARK = "from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().stop()\n"


def timed(command: list[str], environment: dict[str, str]) -> float:
    """Seconds of a command. Exits with what it said if it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - start


def main() -> None:
    """Run one night in a warehouse of its own, and print."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    release, *source = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="nightreel-night-") as folder:
        job = Path(folder, "nothing.py")
        job.write_text(SPARK)
        spark = timed(["spark-submit", str(job)], dict(os.environ))
        warehouse = Path(folder, "warehouse")
        words = [f"WAREHOUSE={warehouse}"]
        if release != "sample":
            words.append(f"DATASET={release}")
        words += [f"SOURCE={Path(path).resolve()}" for path in source]
        whole = timed(["make", "nightly", *words], dict(os.environ))
        steps = {}
        for file in sorted(warehouse.glob("runs/*/steps/*.json")):
            steps[file.stem] = json.loads(file.read_text())["seconds"]
    if not steps:
        sys.exit(f"No step of the night has left a record in {warehouse}.")
    for step, seconds in sorted(steps.items(), key=lambda pair: -pair[1]):
        print(f"{step:12} {seconds:7.1f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{'all steps':12} {sum(steps.values()):7.1f} s")
    print(f"{'make nightly':12} {whole:7.1f} s, {peak:.1f} GiB at most in one process")
    print(f"{'spark-submit':12} {spark:7.1f} s, bare: the night takes {whole / spark:.1f} times it")


if __name__ == "__main__":
    main()
