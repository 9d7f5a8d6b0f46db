"""The DAGs import, are complete, and run the commands that were recorded."""

import os
import shlex
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import ParamValidationError
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).parent / "recorded"

EXPECTED_DAGS = {"nightly"}

RUN_AFTER = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SCHEDULED = "scheduled__2026-03-01T02:00:00+00:00"
TRIGGERED = "manual__2026-03-01T09:30:00.123456+00:00"
EVERY_PARAMETER = {
    "ds": "2026-02-14",
    "dataset": "ml-1m",
    # Nothing in a parameter may reach the shell or the template engine.
    "source": "my files/$(id)'s {{ ds }}.zip",
    "profile": "james-le",
    "factors": 32,
    "learning_rate": 0.01,
    "regularisation": 0,
    "epochs": 5,
    "top_k": "all",
    "ranks": 2,
}


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(dag_folder=str(ROOT / "dags"))


@pytest.fixture
def nightly(bag: DagBag) -> Any:
    return bag.dags["nightly"]


def test_the_folder_imports_whole(bag: DagBag) -> None:
    # A DAG that does not import would otherwise just vanish.
    assert bag.import_errors == {}
    assert set(bag.dags) == EXPECTED_DAGS


def test_every_task_has_owner_retries_limit_and_documentation(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert dag.tags, dag.dag_id
        assert dag.doc_md, dag.dag_id
        for task in dag.tasks:
            assert task.owner == "nightreel", task
            assert task.retries == 2, task
            assert task.retry_delay == timedelta(seconds=30), task
            assert task.retry_exponential_backoff == 2, task
            assert task.execution_timeout, task
            assert task.doc_md, task


def test_nightly_runs_at_two_one_run_at_a_time_without_catching_up(nightly: Any) -> None:
    assert nightly.schedule == "0 2 * * *"
    assert str(nightly.timezone) == "UTC"
    assert nightly.catchup is False
    assert nightly.max_active_runs == 1


def test_the_steps_follow_one_another(nightly: Any) -> None:
    steps = ["ingest", "etl", "train", "evaluate", "score", "publish"]
    assert [task.task_id for task in nightly.topological_sort()] == steps
    for step, following in pairwise(steps):
        assert nightly.get_task(step).downstream_task_ids == {following}


def command(task: Any, run_id: str, params: dict[str, Any]) -> str:
    """The command line of a task in a run, as it would be executed."""
    dag_run = SimpleNamespace(run_id=run_id, run_after=RUN_AFTER, logical_date=None)
    task.render_template_fields({"run_id": run_id, "dag_run": dag_run, "params": params})
    if isinstance(task, BashOperator):
        return task.bash_command
    assert isinstance(task, SparkSubmitOperator)
    return shlex.join(task._get_hook()._build_spark_submit_command(task.application))


def commands(dag: Any, run_id: str, given: dict[str, Any]) -> str:
    params = dag.params.dump() | given
    lines = [
        f"{task.task_id}: {command(task.prepare_for_execution(), run_id, params)}\n"
        for task in dag.topological_sort()
    ]
    return "".join(lines).replace(str(ROOT), "<root>")


def test_commands_are_the_recorded_ones(nightly: Any) -> None:
    """RECORD=1 writes the recorded file anew, for a change that was meant."""
    text = (
        "# A scheduled run\n"
        + commands(nightly, SCHEDULED, {})
        + "\n# A run triggered with every parameter\n"
        + commands(nightly, TRIGGERED, EVERY_PARAMETER)
    )
    file = RECORDED / "nightly.txt"
    if os.environ.get("RECORD"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_a_parameter_reaches_ingest_as_it_is(nightly: Any) -> None:
    task = nightly.get_task("ingest").prepare_for_execution()
    params = nightly.params.dump() | EVERY_PARAMETER
    words = shlex.split(command(task, TRIGGERED, params))
    assert f"--source={EVERY_PARAMETER['source']}" in words


def test_the_date_is_the_run_s_own_unless_it_is_given(nightly: Any) -> None:
    # 23:30 in New York on the last of February is the first of March in UTC.
    late = datetime.fromisoformat("2026-02-28T23:30:00-05:00")
    macro = nightly.user_defined_macros["ingest_options"]
    defaults = nightly.params.dump()
    assert macro(defaults, SimpleNamespace(run_after=late)) == "--ds=2026-03-01"
    given = defaults | {"ds": "2026-02-14"}
    assert macro(given, SimpleNamespace(run_after=late)) == "--ds=2026-02-14"


def test_an_unknown_parameter_is_refused(nightly: Any) -> None:
    macro = nightly.user_defined_macros["ingest_options"]
    with pytest.raises(ValueError, match=r"Unknown parameter epoch\. There are: ds, dataset, "):
        macro(nightly.params.dump() | {"epoch": 3}, SimpleNamespace(run_after=RUN_AFTER))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ds", None),
        ("ds", "2026-02-28"),
        ("dataset", "ml-latest-small"),
        ("top_k", 1),
        ("top_k", "50"),
        ("top_k", "all"),
        ("regularisation", 0),
        ("learning_rate", 0.001),
        ("profile", "james-le"),
    ],
)
def test_an_allowed_value_is_taken(nightly: Any, name: str, value: Any) -> None:
    assert nightly.params.get_param(name).resolve(value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ds", "2026-02-30"),
        ("ds", 20260228),
        ("dataset", "ml-2m"),
        ("source", ""),
        ("profile", "../secrets"),
        ("factors", 0),
        ("factors", 1.5),
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("regularisation", -0.1),
        ("epochs", 0),
        ("ranks", 0),
        ("ranks", "two"),
        ("top_k", 0),
        ("top_k", "0"),
        ("top_k", "most"),
    ],
)
def test_a_wrong_value_is_refused(nightly: Any, name: str, value: Any) -> None:
    param = nightly.params.get_param(name)
    with pytest.raises(ParamValidationError):
        param.resolve(value)
