"""How long dags/ takes to parse, as the DAG processor does it every half minute.

    source conf/airflow/environment.sh && python tests/benchmarks/dag_parsing.py

Prints seconds, and the share of the limit of 2 seconds for all files together: with the operators
imported already, as they are in the DAG processor, and in an interpreter that has only Airflow.
"""

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 2.0
REPEATS = 5

PARSE = """
import logging, sys, time, warnings
warnings.simplefilter("ignore")
logging.disable()
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
sys.path.append(sys.argv[1])
for _ in range(2):
    start = time.perf_counter()
    bag = DagBag(sys.argv[1])
    print(len(bag.dags), len(bag.import_errors), time.perf_counter() - start, file=sys.stderr)
    for name in [name for name in sys.modules if name.startswith("nightreel_common")]:
        del sys.modules[name]
"""


def main() -> None:
    """Measure and print."""
    found: dict[str, list[float]] = {"first parse": [], "every further parse": []}
    for _ in range(REPEATS):
        command = [sys.executable, "-c", PARSE, str(ROOT / "dags")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for name, line in zip(found, done.stderr.splitlines()[-2:], strict=True):
            dags, errors, seconds = line.split()
            if errors != "0":
                sys.exit(f"{errors} files of dags/ cannot be imported.")
            found[name].append(float(seconds))
    for name, seconds_each in found.items():
        median = statistics.median(seconds_each)
        share = median / LIMIT_SECONDS
        print(f"{name:20} {median:6.3f} s for {dags} DAGs, {share:.0%} of {LIMIT_SECONDS:g} s")


if __name__ == "__main__":
    main()
