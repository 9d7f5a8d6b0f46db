"""Nightly recommendations: from a MovieLens release to the published tables.

| task | does | runs as |
| --- | --- | --- |
| ingest | brings the release into the raw zone and fixes date, settings and champion | process |
| etl | cleans, sets bad rows aside, splits, writes Parquet | Spark |
| train | learns the model, one Horovod process per rank | process |
| evaluate | measures on the test rows and promotes the model if it is good enough | process |
| score | scores every movie that a user has not rated | Spark |
| publish | audits the result and shows it to readers in one commit | Spark |

Only ingest takes settings. It writes them down for the run, so later steps are told nothing but
the run id, and a retry works with what the first attempt worked with. Every step replaces its own
output and nothing else, so retrying or clearing a task is safe.

A parameter left empty is as in `conf/`. The Spark master is the connection `spark`.
"""

import os
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, chain

ROOT = Path(__file__).resolve().parent.parent
JOBS = ROOT / "jobs"
PYTHON = os.environ.get("NIGHTREEL_PYTHON", str(ROOT / ".venv/bin/python"))
RELEASES = [
    "sample",
    "ml-100k",
    "ml-1m",
    "ml-10m",
    "ml-20m",
    "ml-25m",
    "ml-32m",
    "ml-latest",
    "ml-latest-small",
]

# Parameters that are settings: the key in conf/ that each one changes for the run.
SETTINGS = {
    "factors": "train.factors",
    "learning_rate": "train.learning_rate",
    "regularisation": "train.regularisation",
    "epochs": "train.epochs",
    "ranks": "train.ranks",
    "top_k": "score.top_k",
}

PARAMETERS = {
    "ds": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Run date",
        description="Date of the published recommendations. Empty: the day the run is due.",
    ),
    "dataset": Param(
        None,
        type=["null", "string"],
        enum=[None, *RELEASES],
        title="Release of MovieLens",
        description="`sample` is generated and needs no download. Empty: as in conf.",
    ),
    "source": Param(
        None,
        type=["null", "string"],
        minLength=1,
        title="Source",
        description="A zip or folder that the workers see, or a URL. Empty: GroupLens.",
    ),
    "profile": Param(
        None,
        type=["null", "string"],
        pattern="^[A-Za-z0-9_][A-Za-z0-9_-]*$",
        title="Profile",
        description="Settings from `conf/profiles`, as in `james-le`. Empty: none.",
    ),
    "factors": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=4096,
        title="Factors",
        description="Length of a user's and a movie's embedding. Empty: as in conf.",
    ),
    "learning_rate": Param(
        None,
        type=["null", "number"],
        exclusiveMinimum=0,
        maximum=10,
        title="Learning rate",
        description="Step size of the optimiser. Empty: as in conf.",
    ),
    "regularisation": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=10,
        title="Regularisation",
        description="L2 penalty on embeddings and biases. Empty: as in conf.",
    ),
    "epochs": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=10_000,
        title="Epochs",
        description="Most passes over the training ratings. Empty: as in conf.",
    ),
    "ranks": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=1024,
        title="Ranks",
        description="Horovod processes; 1 trains without horovodrun. Empty: as in conf.",
    ),
    # The form takes the first type that is not null: a text field takes both 10 and all.
    "top_k": Param(
        None,
        type=["null", "string", "integer"],
        pattern="^([1-9][0-9]*|all)$",
        minimum=1,
        title="Recommendations per user",
        description="A number, or `all` for every scored pair. Empty: as in conf.",
    ),
}


def ingest_options(params: Mapping[str, Any], dag_run: Any) -> str:
    """The options of ingest for this run, quoted for the shell.

    The date is never taken from the clock: a run triggered without a logical date has `run_after`
    too. Raises ValueError for a parameter that does not exist, which Airflow would ignore.
    """
    unknown = sorted(set(params) - set(PARAMETERS))
    if unknown:
        raise ValueError(
            f"Unknown parameter {', '.join(unknown)}. There are: {', '.join(PARAMETERS)}."
        )
    ds = params["ds"] or dag_run.run_after.astimezone(UTC).date().isoformat()
    # `--name=value` keeps a value that starts with a dash from being taken for an option.
    options = [f"--ds={ds}"]
    for name in ("dataset", "source", "profile"):
        if params[name] is not None:
            options.append(f"--{name}={params[name]}")
    for name, key in SETTINGS.items():
        if params[name] is not None:
            options.append(f"--set={key}={params[name]}")
    return shlex.join(options)


def process(step: str, options: str = "", **arguments: Any) -> BashOperator:
    """A task that runs one job command; `exec` hands it the signals that stop the task."""
    command = f"exec {shlex.quote(PYTHON)} {shlex.quote(str(JOBS / f'{step}.py'))}"
    return BashOperator(
        task_id=step,
        bash_command=f"{command} --run-id={{{{ run_id | quote }}}} {options}".strip(),
        cwd=str(ROOT),
        **arguments,
    )


def spark_job(step: str, **arguments: Any) -> SparkSubmitOperator:
    """A task that submits one job to the Spark of the connection `spark`."""
    return SparkSubmitOperator(
        task_id=step,
        conn_id="spark",
        name=f"nightreel-{step}",
        application=str(JOBS / f"{step}.py"),
        application_args=["--run-id={{ run_id }}"],
        **arguments,
    )


with DAG(
    dag_id="nightly",
    description="MovieLens release to published recommendations",
    doc_md=__doc__,
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMETERS,
    user_defined_macros={"ingest_options": ingest_options},
    user_defined_filters={"quote": shlex.quote},
    tags=["nightreel", "recommendations"],
    default_args={
        "owner": "nightreel",
        # `make nightly` allows none: whoever watches a run wants its first error at once.
        "retries": int(os.environ.get("NIGHTREEL_RETRIES", "2")),
        "retry_delay": timedelta(seconds=float(os.environ.get("NIGHTREEL_RETRY_SECONDS", "30"))),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=15),
    },
) as dag:
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
    train = process(
        "train",
        execution_timeout=timedelta(hours=24),
        doc_md="Learns the model and exports its factors; best epoch by validation loss.",
    )
    evaluate = process(
        "evaluate",
        execution_timeout=timedelta(hours=2),
        doc_md="RMSE and MAE on the test rows; decides whether the model becomes champion.",
    )
    score = spark_job(
        "score",
        execution_timeout=timedelta(hours=12),
        doc_md="The best movies that each user has not rated, by the champion.",
    )
    publish = spark_job(
        "publish",
        execution_timeout=timedelta(hours=4),
        doc_md="Audits the scores, then commits the tables. A failed audit publishes nothing.",
    )
    chain(ingest, etl, train, evaluate, score, publish)
