"""The DAG tests run in the Airflow environment, which has neither pyspark nor torch nor the jobs.

make test, or .venv-airflow/bin/pytest tests/dags
"""

import atexit
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

if importlib.util.find_spec("airflow") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    # Airflow reads its settings when it is first imported, so a fixture would come too late.
    script = f"source {ROOT}/conf/airflow/environment.sh && env -0"
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "NIGHTREEL"))
    }
    home = tempfile.mkdtemp(prefix="nightreel-airflow-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    clean["NIGHTREEL_AIRFLOW_HOME"] = home
    output = subprocess.run(
        ["bash", "-c", script], env=clean, capture_output=True, text=True, check=True
    ).stdout
    for name in set(os.environ) - set(clean):
        del os.environ[name]
    for line in filter(None, output.split("\0")):
        name, _, value = line.partition("=")
        os.environ[name] = value
    # As Airflow does with the folder of a bundle.
    sys.path.append(str(ROOT / "dags"))


@pytest.fixture(scope="session")
def bag() -> Any:
    """All DAGs, as the DAG processor reads them."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(ROOT / "dags"))
