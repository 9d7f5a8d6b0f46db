"""What holds of every DAG: it imports, it is complete, it runs the commands that were recorded."""

import os
import re
import shlex
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.exceptions import ParamValidationError
from airflow.providers.apache.spark.hooks import spark_submit
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator

from tests.dags.conftest import ROOT

RECORDED = ROOT / "tests/dags/recorded"

EXPECTED_DAGS = {"nightly", "rescore", "compare", "replay", "restore", "cleanup"}

SCHEDULED = "scheduled__2026-03-01T02:00:00+00:00"
TRIGGERED = "manual__2026-03-01T09:30:00.123456+00:00"
# A run with every parameter; nothing in one may reach the shell or the template engine.
SCORING: dict[str, Any] = {
    "scoring": "incremental",
    "order_by": "rating",
    "damping": 12.5,
    "lower_bound": 0.5,
    "uncertainty": True,
    "reasons": False,
    "repeat_after": 7,
    "diversity": 0.3,
    "calibration": 0.1,
    "genre_cap": 5,
    "new_movies": 3,
    "challenger": "rating/3",
    "challenger_share": 0.2,
    "shadow": False,
    "genres_in": "Comedy,  Children's ",
    "genres_out": "Film-Noir",
    "year_from": 1950,
    "year_to": 1999,
    "min_ratings": 5,
    "block_list": "17, 2000",
    "candidates": "my lists/$(id): {{ ds }}.csv",
}
EVERY_PARAMETER: dict[str, dict[str, Any]] = {
    "nightly": {
        "mode": "full",
        "ds": "2026-02-14",
        "dataset": "ml-1m",
        "source": "my files/$(id)'s {{ ds }}.zip",
        "profile": "james-le",
        "model": "matrix_factorisation",
        "order_model": "visits",
        "factors": 32,
        "learning_rate": 0.01,
        "regularisation": 0,
        "epochs": 5,
        "start_from": "ml-25m/3",
        "warm_start": False,
        "refit": False,
        "top_k": "all",
        "ranks": 2,
        **SCORING,
    },
    "rescore": {
        "model_version": "3",
        "order_version": "2",
        "top_k": 50,
        "users": "17, 2000",
        "dataset": "ml-1m",
        "ds": "2026-02-14",
        **SCORING,
        "block_list": "it's # blocked.csv",
    },
    "compare": {
        "members": ["bayesian", "visits"],
        "seeds": "7, 8",
        "minutes": 2.5,
        "search": ["matrix_factorisation"],
        "trials": 30,
        "search_minutes": 20,
        "folds": 5,
        "promote": True,
        "split": "time",
        "dataset": "ml-1m",
        "source": "my files/$(id)'s {{ ds }}.zip",
        "ds": "2026-02-14",
    },
    "replay": {
        "members": ["visits", "gru"],
        "policies": ["always", "never"],
        "periods": 4,
        "cuts": "2000-11-01, 2000-12-01",
        "dataset": "ml-1m",
        "source": "my files/$(id)'s {{ ds }}.zip",
        "ds": "2026-02-14",
    },
    "restore": {"table": "movies", "version": None, "at": "2026-02-14T02:00", "dry_run": False},
    "cleanup": {"keep_runs": 3, "keep_days": 1, "dry_run": True},
}


def test_the_folder_imports_whole(bag: Any) -> None:
    # A DAG that does not import would otherwise just vanish.
    assert bag.import_errors == {}
    assert set(bag.dags) == EXPECTED_DAGS


def test_every_dag_and_task_is_complete(bag: Any) -> None:
    for dag in bag.dags.values():
        assert "nightreel" in dag.tags, dag.dag_id
        assert dag.doc_md, dag.dag_id
        assert dag.description, dag.dag_id
        assert dag.max_active_runs == 1, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert dag.dagrun_timeout, dag.dag_id
        for task in dag.tasks:
            assert task.owner == "nightreel", task
            assert task.retries == 2, task
            assert task.retry_delay == timedelta(seconds=30), task
            assert task.retry_exponential_backoff == 2, task
            assert task.execution_timeout, task
            assert task.doc_md, task
            assert task.on_failure_callback, task


def test_heavy_tasks_share_pools_that_are_made_with_the_database(bag: Any) -> None:
    import json

    pools = json.loads((ROOT / "conf/airflow/pools.json").read_text())
    used = {task.pool for dag in bag.dags.values() for task in dag.tasks}
    assert used == {"default_pool", *pools}
    for dag in bag.dags.values():
        for task in dag.tasks:
            if isinstance(task, SparkSubmitOperator):
                assert task.pool == "nightreel_spark", task
    # The last task trains what is missing, and what becomes champion from all ratings.
    whole = [bag.dags[name].get_task(name) for name in ("compare", "replay")]
    assert {task.pool for task in whole} == {"nightreel_training"}


def test_every_parameter_explains_itself(bag: Any) -> None:
    for dag in bag.dags.values():
        assert set(dag.params) == set(EVERY_PARAMETER[dag.dag_id])
        for name in dag.params:
            param = dag.params.get_param(name)
            assert param.schema["title"], (dag.dag_id, name)
            assert param.description, (dag.dag_id, name)
        # Scheduled and asset-triggered runs take the defaults.
        dag.params.validate()


def test_parsing_imports_no_job_and_nothing_of_theirs() -> None:
    """A scheduler has neither our jobs nor what they need, and parses every half minute."""
    script = """
import importlib.util, sys
sys.path.append("dags")
for file in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("parsed", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(sorted({"pyspark", "torch", "jobs", "model", "pandas", "numpy"} & set(sys.modules)))
"""
    files = [str(file) for file in (ROOT / "dags").glob("*.py")]
    assert len(files) == len(EXPECTED_DAGS)
    command = [sys.executable, "-c", script, *files]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines()[-1] == "[]"


class TaskInstance:
    """What the templates of the restore DAG ask of theirs."""

    def xcom_pull(self, task_id: str) -> dict[str, int]:
        return {"preview": {"restored_version": 4, "from_version": 6}}[task_id]


def command(task: Any, run_id: str, params: dict[str, Any]) -> str:
    """The command line of a task in a run, as it would be executed."""
    due = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
    context = {
        "run_id": run_id,
        "dag_run": SimpleNamespace(run_id=run_id, run_after=due, logical_date=None),
        "params": params,
        "ti": TaskInstance(),
        "triggering_asset_events": {},
    }
    if isinstance(task, BashOperator):
        task.render_template_fields(context)
        return task.bash_command.rstrip()
    if isinstance(task, SparkSubmitOperator):
        task.render_template_fields(context)
        return shlex.join(task._get_hook()._build_spark_submit_command(task.application))
    return "in Airflow"


def commands(dag: Any, run_id: str, given: dict[str, Any]) -> str:
    params = dag.params.dump() | given
    lines = []
    for task in dag.topological_sort():
        # Of a mapped task, one: what it is told apart by stands in its environment.
        one = task.unmap({"env": {}}) if task.is_mapped else task
        shown = command(one.prepare_for_execution(), run_id, params)
        lines.append(f"{task.task_id}: {shown}\n")
    return "".join(lines).replace(str(ROOT), "<root>")


@pytest.mark.parametrize("dag_id", sorted(EXPECTED_DAGS))
def test_commands_are_the_recorded_ones(bag: Any, dag_id: str) -> None:
    """RECORD=1 writes the recorded files anew, for a change that was meant."""
    dag = bag.dags[dag_id]
    text = (
        "# A run with the defaults\n"
        + commands(dag, SCHEDULED, {})
        + "\n# A run triggered with every parameter\n"
        + commands(dag, TRIGGERED, EVERY_PARAMETER[dag_id])
    )
    file = RECORDED / f"{dag_id}.txt"
    if os.environ.get("RECORD"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_masters_of_a_cluster_are_submitted_to_as_recorded(
    bag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections that docs/cluster.md shows; RECORD=1 as above."""
    # For Kubernetes the hook wants its client's package, which the docs say how to install.
    monkeypatch.setattr(spark_submit, "kube_client", object(), raising=False)
    shown = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    lines = []
    for connection in re.findall(r"AIRFLOW_CONN_SPARK='([^']*)'", shown):
        monkeypatch.setenv("AIRFLOW_CONN_SPARK", connection)
        task = bag.dags["nightly"].get_task("prepare.etl").prepare_for_execution()
        lines.append(command(task, SCHEDULED, {}).replace(str(ROOT), "<root>"))
    file, text = RECORDED / "masters.txt", "\n".join([*lines, ""])
    if os.environ.get("RECORD"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("dag_id", "name", "value"),
    [
        ("nightly", "mode", "score-only"),
        ("nightly", "ds", None),
        ("nightly", "ds", "2026-02-28"),
        ("nightly", "dataset", "ml-latest-small"),
        ("nightly", "source", "postgresql://me@host:5432/shop?table=orders"),
        ("nightly", "top_k", 1),
        ("nightly", "top_k", "50"),
        ("nightly", "top_k", "all"),
        ("nightly", "regularisation", 0),
        ("nightly", "start_from", "ml-25m/order/3"),
        ("nightly", "warm_start", True),
        ("nightly", "learning_rate", 0.001),
        ("nightly", "profile", "james-le"),
        ("nightly", "genres_in", "(no genres listed), Sci-Fi"),
        ("nightly", "damping", 0),
        ("rescore", "users", " 17 ,2000"),
        ("rescore", "users", "u-17, f81d4fae-7dec"),
        ("rescore", "model_version", "12"),
        ("compare", "members", ["transformer"]),
        ("compare", "seeds", "7,8"),
        ("replay", "cuts", "2000-11-01"),
        ("restore", "version", 0),
        ("restore", "at", "2026-11-23"),
        ("cleanup", "keep_runs", 1),
    ],
)
def test_an_allowed_value_is_taken(bag: Any, dag_id: str, name: str, value: Any) -> None:
    param = deepcopy(bag.dags[dag_id].params.get_param(name))
    assert param.resolve(value) == value


@pytest.mark.parametrize(
    ("dag_id", "name", "value"),
    [
        ("nightly", "mode", "train-only"),
        ("nightly", "ds", "2026-02-30"),
        ("nightly", "ds", 20260228),
        ("nightly", "dataset", "../ml-1m"),
        ("nightly", "source", ""),
        ("nightly", "source", "https://hidden@host/r.zip"),
        ("nightly", "source", "HTTP://host/r.zip?signature=hidden"),
        ("nightly", "source", "postgresql://me:hidden@host:5432/shop?table=orders"),
        ("nightly", "profile", "../secrets"),
        ("nightly", "factors", 0),
        ("nightly", "factors", 1.5),
        ("nightly", "learning_rate", 0),
        ("nightly", "learning_rate", "fast"),
        ("nightly", "regularisation", -0.1),
        ("nightly", "epochs", 0),
        ("nightly", "start_from", "ml-25m"),
        ("nightly", "warm_start", "perhaps"),
        ("nightly", "ranks", 0),
        ("nightly", "ranks", "two"),
        ("nightly", "top_k", 0),
        ("nightly", "top_k", "0"),
        ("nightly", "top_k", "most"),
        ("nightly", "scoring", "some"),
        ("nightly", "damping", -1),
        ("nightly", "lower_bound", -1),
        ("nightly", "genres_out", "Horror,,War"),
        ("nightly", "min_ratings", -1),
        ("rescore", "year_from", "1999"),
        ("rescore", "block_list", ""),
        ("rescore", "users", "17,,2000"),
        ("rescore", "users", " "),
        ("rescore", "model_version", "champion"),
        ("compare", "members", ["oracle"]),
        ("compare", "members", []),
        ("compare", "seeds", "seven"),
        ("compare", "minutes", 0),
        ("compare", "search", ["blend"]),
        ("compare", "trials", 0),
        ("compare", "folds", 1),
        ("replay", "members", ["bayesian"]),
        ("replay", "policies", ["daily"]),
        ("replay", "cuts", "yesterday"),
        ("restore", "table", "secrets"),
        ("restore", "version", -1),
        ("restore", "at", "yesterday"),
        ("cleanup", "keep_runs", 0),
        ("cleanup", "keep_days", -1),
        ("cleanup", "dry_run", "perhaps"),
    ],
)
def test_a_wrong_value_is_refused(bag: Any, dag_id: str, name: str, value: Any) -> None:
    param = deepcopy(bag.dags[dag_id].params.get_param(name))
    with pytest.raises(ParamValidationError):
        param.resolve(value)


@pytest.mark.parametrize("dag_id", sorted(EXPECTED_DAGS))
def test_an_unknown_parameter_is_refused(bag: Any, dag_id: str) -> None:
    dag = bag.dags[dag_id]
    [first] = [task for task in dag.tasks if "_options(" in getattr(task, "bash_command", "")]
    with pytest.raises(Exception, match=r"Unknown parameter epoch\. There are: "):
        command(first.prepare_for_execution(), TRIGGERED, dag.params.dump() | {"epoch": 3})


def test_every_model_of_the_family_can_be_compared_and_of_order_replayed(bag: Any) -> None:
    # It imports neither torch nor anything else that Airflow's environment lacks.
    from model.family import FAMILY, ORDER_MODELS

    for dag_id, family in (("compare", set(FAMILY)), ("replay", set(ORDER_MODELS))):
        members = bag.dags[dag_id].params.get_param("members")
        assert set(members.schema["items"]["enum"]) == family


@pytest.mark.parametrize("dag_id", ["nightly", "rescore"])
def test_no_task_holds_a_copy_of_the_parameters(bag: Any, dag_id: str) -> None:
    """They are dozens, and each copy is checked against its schema whenever the DAG is stored."""
    dag = bag.dags[dag_id]
    assert len(dag.params) > 10
    assert not [task.task_id for task in dag.tasks if task.params]
