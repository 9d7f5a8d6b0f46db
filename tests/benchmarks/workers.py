"""etl and score by one worker of a Spark cluster and by two, on this machine.

    PYTHONPATH=. python tests/benchmarks/workers.py [--share 0.25] [--memory 4g]

A standalone master and workers of one core each, from the packages of this environment; the made-up
release of tests/benchmarks/large_release.py at a share of ML-32M's shape; the commands that people
use, with conf/cluster. The driver has no tasks of its own. What scores are biases: they are trained
soonest. Printed are the seconds of each step's record, with Spark's start, how many cores of the
machine were busy meanwhile, and how much faster it is with a second worker. Workers share memory,
its bus and the disk; and a worker of one core keeps others busy, too: Java compiles and collects
beside its tasks, and the driver is a Java of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pyspark

from jobs.runs.run import STEPS, open_run
from jobs.runs.warehouse import Warehouse
from tests.benchmarks.large_release import write_release

ROOT = Path(__file__).resolve().parents[2]
HOST, PORT = "127.0.0.1", 17077
MASTER = f"spark://{HOST}:{PORT}"
WAIT_SECONDS = 60
SETTINGS = ("train.model=biases", "train.order.model=none", "score.reasons=false")


@contextmanager
def service(folder: Path, kind: str, name: str, ready: str, *options: str) -> Iterator[None]:
    """A master or a worker, from the moment at which its log says that it is `ready`."""
    command = [
        f"{Path(pyspark.__file__).parent}/bin/spark-class",
        f"org.apache.spark.deploy.{kind.lower()}.{kind}",
        *options,
    ]
    settings = folder / "services"
    settings.mkdir(exist_ok=True)
    variables = os.environ | {"SPARK_CONF_DIR": str(settings), "SPARK_LOCAL_IP": HOST}
    log = folder / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=variables, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + WAIT_SECONDS
        while ready not in log.read_text():
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"{name} did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def cluster(folder: Path, workers: int, memory: str) -> Iterator[None]:
    """A master with so many workers of one core."""
    with ExitStack() as services:
        at = ["--host", HOST, "--webui-port", "0"]
        started = service(folder, "Master", "master", "New state: ALIVE", *at, "--port", f"{PORT}")
        services.enter_context(started)
        for number in range(workers):
            name, ready = f"worker-{number}", "Successfully registered with master"
            work = ["--work-dir", str(folder / name), "--cores", "1", "--memory", memory, MASTER]
            services.enter_context(service(folder, "Worker", name, ready, *at, *work))
        yield


def busy_seconds() -> float:
    """What all processors together have worked since the machine started."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


def settings_for(folder: Path, memory: str) -> Path:
    """conf/cluster with this master."""
    target = folder / "spark"
    shutil.copytree(ROOT / "conf/cluster", target)
    with (target / "spark-defaults.conf").open("a") as settings:
        settings.write(
            f"\nspark.master {MASTER}\nspark.driver.host {HOST}\nspark.executor.memory {memory}\n"
        )
    return target


def main() -> None:
    """Measure both steps by one worker and by two, in one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--memory", default="4g", help="of each worker")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightreel-workers-") as scratch:
        folder = Path(scratch)
        ratings = write_release(folder / "release", arguments.share).ratings
        print(f"{ratings:,} ratings; workers of one core", flush=True)
        warehouse = Warehouse(folder / "warehouse")
        variables = os.environ | {
            "NIGHTREEL_WAREHOUSE": str(warehouse.folder),
            "SPARK_CONF_DIR": str(settings_for(folder, arguments.memory)),
        }

        def step(name: str, run_id: str, *more: str) -> tuple[float, float]:
            """Make a step of a run; its seconds, and how many cores were busy."""
            command = [sys.executable, "-m", "jobs.nightreel", name, "--run-id", run_id, *more]
            before, start = busy_seconds(), time.perf_counter()
            done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
            busy = (busy_seconds() - before) / (time.perf_counter() - start)
            record = open_run(warehouse, run_id).finished(name)
            return (record["seconds"] if record else 0.0), busy

        found: dict[tuple[str, int], tuple[float, float]] = {}
        told = ["--dataset", "ml-32m", "--source", str(folder / "release")]
        told += [f"--set={setting}" for setting in SETTINGS]
        for workers in (1, 2):
            run_id = f"by-{workers}"
            step("ingest", run_id, *told)
            with cluster(folder, workers, arguments.memory):
                found["etl", workers] = step("etl", run_id)
        for name in STEPS[STEPS.index("etl") + 1 : STEPS.index("score")]:
            step(name, "by-2")
        for workers in (1, 2):
            with cluster(folder, workers, arguments.memory):
                found["score", workers] = step("score", "by-2")
        for name in ("etl", "score"):
            (one, busy), (two, both_busy) = found[name, 1], found[name, 2]
            print(
                f"{name:6} {one:6.1f} s by one, {busy:.1f} cores busy; {two:6.1f} s by two, "
                f"{both_busy:.1f} busy: {one / two:.2f} times as fast"
            )


if __name__ == "__main__":
    main()
