"""ETL from a million ratings to the shape of ML-32M: seconds, peak memory, rows per second.

    PYTHONPATH=. python tests/benchmarks/etl_scale.py [--shares 0.03125 0.125 1]

Each share of the made-up release is ingested and cleaned by the commands that people use, with
8 GiB for Spark's driver. Memory is that of the step's processes together, looked at twice a second.
Time per row is printed as a ratio to the first share's: 1.0 is growth in proportion.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.benchmarks.large_release import write_release

ROOT = Path(__file__).resolve().parents[2]
DRIVER_MEMORY = "8g"
GIB = 2**30


def watched(command: list[str], variables: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak GiB of a command with its children. Ends this script if it fails."""
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        whole = psutil.Process(process.pid)
        while process.poll() is None:
            used = 0
            for one in [whole, *whole.children(recursive=True)]:
                try:
                    used += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak = max(peak, used)
            time.sleep(0.5)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed.")
    return time.perf_counter() - start, peak / GIB


def main() -> None:
    """Measure every share, in one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[1 / 32, 1 / 8, 1.0])
    first = None
    for share in parser.parse_args().shares:
        with tempfile.TemporaryDirectory(prefix="nightreel-etl-scale-") as folder:
            source, warehouse = Path(folder, "release"), Path(folder, "warehouse")
            ratings = write_release(source, share).ratings
            variables = os.environ | {
                "NIGHTREEL_WAREHOUSE": str(warehouse),
                "PYSPARK_SUBMIT_ARGS": f"--driver-memory {DRIVER_MEMORY} pyspark-shell",
            }
            step = [sys.executable, "-m", "jobs.nightreel"]
            options = ["--run-id", "scale", "--dataset", "ml-32m", "--source", str(source)]
            watched([*step, "ingest", *options], variables)
            seconds, peak = watched([*step, "etl", "--run-id", "scale"], variables)
        first = first or seconds / ratings
        growth = seconds / ratings / first
        print(
            f"{ratings:12,} ratings: {seconds:6.0f} s, {ratings / seconds:9,.0f} a second, "
            f"peak {peak:4.1f} GiB, time per row {growth:4.2f} of the first's",
            flush=True,
        )


if __name__ == "__main__":
    main()
