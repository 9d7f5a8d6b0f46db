"""How a job command becomes a task: as a process, or submitted to Spark.

Every task of a run is told the run id. Its result, seen in the tab XCom, is what the step recorded
in the warehouse, a folder that all workers see; the events of its assets carry the same figures.
"""

import json
import os
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, TaskGroup, TriggerRule, chain
from airflow.sdk.exceptions import AirflowFailException

from nightreel_common.alerts import alert, alert_of_timeout
from nightreel_common.records import record_file

ROOT = Path(__file__).resolve().parents[2]
JOBS = ROOT / "jobs"
PYTHON = os.environ.get("NIGHTREEL_PYTHON", str(ROOT / ".venv/bin/python"))
WAREHOUSE = ROOT / Path(os.environ.get("NIGHTREEL_WAREHOUSE") or "warehouse").expanduser()

# Made by conf/airflow/pools.json: at most so many heavy tasks at once, over all DAGs.
SPARK_POOL = "nightreel_spark"
TRAINING_POOL = "nightreel_training"
# What every command but restore and cleanup is told, as a template.
RUN_ID = "--run-id={{ run_id | quote }}"

DEFAULT_ARGS = {
    "owner": "nightreel",
    # `make nightly` allows none: whoever watches a run wants its first error at once.
    "retries": int(os.environ.get("NIGHTREEL_RETRIES", "2")),
    "retry_delay": timedelta(seconds=float(os.environ.get("NIGHTREEL_RETRY_SECONDS", "30"))),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": alert,
}
# What all our DAGs have in common.
COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "user_defined_filters": {"quote": shlex.quote},
    "default_args": DEFAULT_ARGS,
    "on_failure_callback": alert_of_timeout,
}


def job(command: str, *options: str) -> list[str]:
    """The words that start a job command in its own environment."""
    return [PYTHON, "-m", "jobs.nightreel", command, *options]


def recorded(run_id: str, step: str) -> dict[str, Any]:
    """What a step that has ended recorded. Without a record, the task fails for good."""
    file = record_file(WAREHOUSE, run_id, step)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AirflowFailException(
            f"{step} has ended well, but there is no {file}: either this run needs no such step, "
            "or NIGHTREEL_WAREHOUSE, as Airflow's workers have it, is not where the jobs write."
        ) from None


class Step:
    """Mixed into an operator: the task's result is what its step of the run recorded."""

    task_id: str
    outlets: Iterable[Any]

    def execute(self, context: Any) -> dict[str, Any]:
        super().execute(context)  # type: ignore[misc]
        figures = recorded(context["run_id"], self.task_id.rpartition(".")[2])
        for asset in self.outlets:
            # A step that changes several tables says of each what changed.
            context["outlet_events"][asset].extra.update(figures.get(asset.name, figures))
        return figures

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What the step has read and written; asked where a backend of OpenLineage is named."""
        from nightreel_common.lineage import lineage_of

        return lineage_of(self.task_id.rpartition(".")[2], WAREHOUSE, task_instance.run_id)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Nothing: the provider would ask what a step that has ended well is asked."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        return OperatorLineage()


class ProcessStep(Step, BashOperator):
    """A step that is a process on the worker."""


class SparkStep(Step, SparkSubmitOperator):
    """A step that is submitted to the Spark of a connection."""


def process(step: str, options: str = "", **arguments: Any) -> ProcessStep:
    """A task that runs one step of the run as a process."""
    return ProcessStep(task_id=step, **bash(step, RUN_ID, options), **arguments)


def spark_job(step: str, **arguments: Any) -> SparkStep:
    """A task that submits one step to the Spark of the connection `spark`."""
    return SparkStep(
        task_id=step,
        conn_id="spark",
        name=f"nightreel-{step}",
        application=str(JOBS / f"{step}.py"),
        application_args=["--run-id={{ run_id }}"],
        pool=SPARK_POOL,
        **arguments,
    )


def report(command: str, options: str = "", **arguments: Any) -> BashOperator:
    """A task that runs a command whose last line is JSON, which is the task's result."""
    words = bash(command, "--json", options)
    return BashOperator(output_processor=json.loads, **words, **arguments)


def ingest_and_etl() -> tuple[ProcessStep, SparkStep]:
    """The tasks that a run on data of its own begins with; the DAG has a macro `ingest_options`."""
    ingest = process(
        "ingest",
        "{{ ingest_options(params, dag_run) }}",
        execution_timeout=timedelta(hours=4),
        doc_md="Release to the raw zone, unchanged; fixes date, settings and champion.",
    )
    etl = spark_job(
        "etl",
        execution_timeout=timedelta(hours=4),
        doc_md="Raw files to clean, split and indexed Parquet; bad rows to quarantine.",
    )
    return ingest, etl


def side_by_side(step: str, task_id: str, *, parts: str, each: str, whole: str) -> None:
    """All tasks of a run whose step trains many models, each by a task of its own.

    `parts` are listed once there are data, `task_id` is mapped over them, and the step itself makes
    the `whole`; these are what their tabs Docs say. The DAG has a macro `ingest_options`.
    """

    def of_part(name: str) -> dict[str, str]:
        return {"NIGHTREEL_PART": name}

    ingest, etl = ingest_and_etl()
    named = report(step, RUN_ID, task_id="parts", doc_md=parts)
    done = BashOperator.partial(
        task_id=task_id,
        pool=TRAINING_POOL,
        append_env=True,
        execution_timeout=timedelta(hours=24),
        map_index_template="{{ task.env['NIGHTREEL_PART'] }}",
        do_xcom_push=False,
        doc_md=each,
        **bash(step, RUN_ID, '--part="$NIGHTREEL_PART"'),
    ).expand(env=named.output.map(of_part))
    result = process(
        step,
        # One that was killed is trained here once more, and champions learn from all ratings.
        pool=TRAINING_POOL,
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
        execution_timeout=timedelta(hours=24),
        doc_md=whole,
    )
    chain(ingest, etl, named, done, result, tidy().as_teardown())


class Ending(NamedTuple):
    """The tasks that end a run; a summary comes before `tidy`."""

    score: SparkStep
    publish: ProcessStep
    report: ProcessStep
    tidy: BashOperator


def score_and_publish(outlets: list[Asset], **arguments: Any) -> Ending:
    """The tasks that end a run: score, publish, report, summary and tidy, one after another.

    report waits for whatever else stands before it, which may have been skipped. tidy is a
    teardown: the run's scratch goes even when a task has failed.
    """
    with TaskGroup("score", tooltip="Score, audit, publish"):
        score = spark_job(
            "score",
            execution_timeout=timedelta(hours=12),
            doc_md="The best movies that each user has not rated.",
            **arguments,
        )
        publish = process(
            "publish",
            outlets=outlets,
            execution_timeout=timedelta(hours=4),
            doc_md="Audits the scores, then shows the tables. A failed audit publishes nothing.",
        )
        written = process(
            "report",
            trigger_rule=TriggerRule.NONE_FAILED,
            doc_md="A page about the run: learning, errors, coverage, examples, drift.",
        )
    summary = report(
        "summary",
        RUN_ID,
        task_id="summary",
        doc_md="The run's figures: rows, RMSE, whether the model was promoted, seconds.",
    )
    last = tidy()
    chain(score, publish, written, summary, last.as_teardown())
    return Ending(score, publish, written, last)


def tidy() -> BashOperator:
    """The task that ends a run, as its teardown."""
    return BashOperator(
        task_id="tidy",
        do_xcom_push=False,
        doc_md="Removes the scratch of killed jobs, also when a task has failed.",
        **bash("tidy", RUN_ID),
    )


def bash(command: str, *options: str) -> dict[str, str]:
    """Arguments of a BashOperator; `exec` hands the job the signals that stop the task."""
    words = " ".join(["exec", shlex.join(job(command)), *filter(None, options)])
    return {"bash_command": words, "cwd": str(ROOT)}
