"""A task's result is what its step recorded; so are the events of its assets."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk.exceptions import AirflowFailException


@pytest.fixture
def steps(bag: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the steps of the run would write their records; the processes do nothing."""
    from nightreel_common import tasks

    monkeypatch.setattr(tasks, "WAREHOUSE", tmp_path)
    for operator in (BashOperator, SparkSubmitOperator):
        monkeypatch.setattr(operator, "execute", lambda *_: None)
    folder = tmp_path / "runs/scheduled__2026-03-01T02-00-00-00-00/steps"
    folder.mkdir(parents=True)
    return folder


def execute(bag: Any, task_id: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The result of a task of `nightly`, and what the events of its assets carry."""
    task = bag.dags["nightly"].get_task(task_id).prepare_for_execution()
    events = {asset: SimpleNamespace(extra={}) for asset in task.outlets}
    context = {"run_id": "scheduled__2026-03-01T02:00:00+00:00", "outlet_events": events}
    return task.execute(context), {asset.name: event.extra for asset, event in events.items()}


def test_the_result_is_what_the_step_recorded(bag: Any, steps: Path) -> None:
    for task_id in ("prepare.plan", "prepare.etl"):
        figures = {"reason": "Amélie is new", "seconds": 1.25}
        (steps / f"{task_id.rpartition('.')[2]}.json").write_text(json.dumps(figures), "utf-8")
        assert execute(bag, task_id) == (figures, {})


def test_an_event_carries_what_the_step_says_of_its_table(bag: Any, steps: Path) -> None:
    ratings = {"rows": 9, "changed": True}
    figures = {"rows_published": 40, "ratings": ratings}
    (steps / "publish.json").write_text(json.dumps(figures))
    # Without a word of its own, a table's event carries all.
    assert execute(bag, "score.publish")[1] == {"ratings": ratings, "recommendations": figures}


def test_a_step_without_a_record_fails_its_task(bag: Any, steps: Path) -> None:
    with pytest.raises(AirflowFailException, match=r"promote has ended well, but .*promote\.json"):
        execute(bag, "promote")
