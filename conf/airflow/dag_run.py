"""Run the DAG `nightly` once, in this process, as `airflow dags test` does.

    source conf/airflow/environment.sh && python conf/airflow/dag_run.py '{"ranks": 2}'

The argument is the run's parameters as JSON. Ends with status 1 if a task has failed. The command
of Airflow parses and stores all DAGs once more before it calls the same `dag.test`.
"""

import json
import os
import sys
from pathlib import Path


def main() -> int:
    """Run, and return the exit status."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dags"))
    from airflow.sdk import DagRunState
    from nightly import dag

    run = dag.test(run_conf=json.loads(sys.argv[1]))
    return int(run.state != DagRunState.SUCCESS)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written: Python would take another two seconds to take Airflow's objects apart.
    os._exit(status)
