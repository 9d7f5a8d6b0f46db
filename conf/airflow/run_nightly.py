"""Run the DAG `nightly` once, in this terminal, and show what its steps say.

    source conf/airflow/environment.sh && python conf/airflow/run_nightly.py

The variables DATASET, SOURCE, DS, PROFILE, RANKS and TOP_K become the run's parameters; an empty
one is as in conf. A failed run ends with status 1. All that Airflow says goes to a log.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

PARAMETERS = ("dataset", "source", "ds", "profile", "ranks", "top_k")

# How Airflow is told to write its lines, and how `shown` takes them apart.
LOG_FORMAT = "%(levelname)s|%(name)s|%(message)s"
LINE = re.compile(r"(?P<level>[A-Z]+)\|(?P<logger>[^|]*)\|(?P<message>.*)", re.DOTALL)
STEP_LOGGERS = ("SubprocessHook", "SparkSubmitHook")
# How `dag.test` says which task comes next.
TASK = re.compile(r"\[DAG TEST\] starting task_id=(?P<task>\S+)")
# The run's summary is shown at the end; of tidying up, only what goes wrong.
QUIET = ("summary", "tidy")
# What the operators add to a step's own lines; the last is Java's, about a flag Spark itself sets.
ADDED = re.compile(
    r"Tmp dir root location: |Running command: |Output:$|Command exited with return code |"
    r"Spark-Submit cmd: |WARNING: Using incubator modules: jdk\.incubator\.vector$"
)
# What repeats the end of a job's output, or explains the schema of a refused parameter.
REPEATS = re.compile(r"Last spark-submit output:|Failed validating ")
# What would stand on Airflow's command line and in its database, and where it belongs.
SECRETS = {
    re.compile(r"https?:.*[@?#]", re.IGNORECASE): (
        "SOURCE holds a user, a password, or a ? or #. Leave them out there, as it is kept with "
        "the run, and put the whole address into the variable NIGHTREEL_SOURCE."
    ),
    re.compile(r"postgres(ql)?://[^/@]*:[^@]*@"): (
        "SOURCE holds a password. Leave it out there, as it is kept with the run, and put it into "
        "the variable PGPASSWORD or into ~/.pgpass."
    ),
}
# Of a traceback, which is Airflow's own, the last line is enough; the log has the others.
TRACEBACK = re.compile(r"Traceback |\s|$")


def parameters_of(variables: Mapping[str, str]) -> dict[str, Any]:
    """The run's parameters. What is not a number stays text, for the DAG's schema to refuse."""
    given: dict[str, Any] = {
        name: variables[name.upper()] for name in PARAMETERS if variables.get(name.upper())
    }
    if os.path.exists(given.get("source", "")):
        # The tasks run in a folder of their own.
        given["source"] = os.path.abspath(given["source"])
    if given.get("ranks", "").isdecimal():
        given["ranks"] = int(given["ranks"])
    return given


def shown(lines: Iterable[str]) -> Iterator[str]:
    """Of Airflow's output, the steps' own lines and the errors.

    Those of a task in QUIET are held back until it fails.
    """
    hidden, task = False, ""
    held: list[str] = []
    for line in lines:
        line = line.rstrip("\n")
        record = LINE.fullmatch(line)
        if record is None:
            # The rest of a record of several lines, or a program that failed before it could log.
            hidden = hidden or bool(REPEATS.match(line))
            if not hidden and not TRACEBACK.match(line) and line != "DagRun failed":
                yield re.sub(r"^airflow\.[a-z_.]*exceptions\.[A-Za-z]+: ", "", line)
        elif record["logger"].endswith(STEP_LOGGERS):
            hidden = False
            if ADDED.match(record["message"]):
                continue
            if task in QUIET:
                held.append(record["message"])
            else:
                yield record["message"]
        elif started := TASK.match(record["message"]):
            hidden, task, held = False, started["task"], []
        elif record["level"] in ("ERROR", "CRITICAL"):
            hidden = False
            yield from held
            held = []
            if record["message"] != "Task failed with exception":
                yield record["message"]
        else:
            # Python's warnings run over several lines.
            hidden = record["logger"] == "py.warnings"


def copied(lines: Iterable[str], log: TextIO) -> Iterator[str]:
    """The same lines, each written to the log as it passes."""
    for line in lines:
        log.write(line)
        log.flush()
        yield line


def main() -> int:
    """Run, show, and return the exit status."""
    for secret, sentence in SECRETS.items():
        if secret.match(os.environ.get("SOURCE", "")):
            print(sentence, file=sys.stderr)
            return 1
    with (Path(os.environ["AIRFLOW_HOME"]) / "in-use.lock").open("a") as lock:
        try:
            # As conf/airflow/standalone.py does; runs in terminals do not disturb one another.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                "make airflow is running: its scheduler would run the same tasks. Trigger the DAG "
                "nightly there, or stop it.",
                file=sys.stderr,
            )
            return 1
        return run()


def run() -> int:
    """Run the DAG."""
    now = datetime.now(UTC)
    log_file = Path(os.environ["AIRFLOW_HOME"], "logs", f"nightly-{now:%Y%m%dT%H%M%SZ}.log")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    variables = {
        # Whoever watches wants the first error at once; a schedule wants retries.
        "NIGHTREEL_RETRIES": "0",
        **os.environ,
        "AIRFLOW__LOGGING__LOG_FORMAT": LOG_FORMAT,
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }
    parameters = json.dumps(parameters_of(os.environ))
    command = [sys.executable, str(Path(__file__).with_name("dag_run.py")), parameters]
    print(f"Running the DAG nightly. All that Airflow says of it: {log_file}", flush=True)
    # Ctrl-C reaches Airflow too, which stops its task: what it says then is still wanted.
    signal.signal(signal.SIGINT, lambda *_: None)
    with (
        log_file.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as airflow,
    ):
        assert airflow.stdout is not None
        for line in shown(copied(airflow.stdout, log)):
            print(line, flush=True)
    if airflow.returncode == 0:
        return 0
    print("The nightly run failed; the first error stands above.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
