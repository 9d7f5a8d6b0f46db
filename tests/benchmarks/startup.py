"""What commands cost before their first work, beside Python and Spark that do nothing.

    source conf/airflow/environment.sh && .venv/bin/python tests/benchmarks/startup.py [repeats]

Prints CPU seconds, the least of `repeats` (default: 3), and each as a multiple of the interpreter
with the libraries that every step needs. A command is imported with all that it loads before it
reads its arguments; below them, what some load later, and a bare spark-submit.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARE = "numpy, pydantic, yaml"
COMMANDS = (
    *("ingest", "etl", "explore", "check", "plan", "train", "evaluate", "refit"),
    *("score", "publish", "promote", "report", "rescore"),
)
LIBRARIES = ("torch", "horovod.torch", "petastorm", "pandas", "pyspark.sql", "duckdb", "mlflow")
CLIENT = """
import sys
from jobs.training.mlflow_client import client_of
client_of("sqlite:///" + sys.argv[1]).search_registered_models(max_results=1)
"""
READ = """
import sys
from pathlib import Path
from jobs.training.own_store import version_of
version_of(Path(sys.argv[1]), "nightreel-sample", "champion")
"""
SPARK = "from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().stop()\n"


def cpu_seconds(command: list[str], repeats: int) -> float:
    """The least that the command and its children used. Exits if it fails."""
    found = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            sys.exit(f"{' '.join(command)[:200]} failed:\n{done.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(sum(after[:2]) - sum(before[:2]))
    return min(found)


def main() -> None:
    """Measure and print."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        store, job = Path(folder, "mlflow.db"), Path(folder, "nothing.py")
        job.write_text(SPARK)
        python = [sys.executable, "-c"]
        # Makes the store.
        cpu_seconds([*python, CLIENT, str(store)], 1)
        measured = {"python": [*python, "pass"], f"import {BARE}": [*python, f"import {BARE}"]}
        measured |= {f"nightreel {name}": [*python, f"import jobs.{name}"] for name in COMMANDS}
        measured |= {f"import {name}": [*python, f"import {name}"] for name in LIBRARIES}
        measured |= {
            "a question to MLflow": [*python, CLIENT, str(store)],
            "a question to its store": [*python, READ, str(store)],
            "a bare spark-submit": ["spark-submit", str(job)],
        }
        seconds = {name: cpu_seconds(words, repeats) for name, words in measured.items()}
    bare = seconds[f"import {BARE}"]
    for name, each in seconds.items():
        print(f"{name:32} {each:6.2f} s {each / bare:6.1f} x")


if __name__ == "__main__":
    main()
