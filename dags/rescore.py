"""Score and publish the newest data again, without training.

Starts by itself when another champion is announced: an event of the asset `model` that does not
come from `nightly`, which scores with its own models. Make one in the interface (Assets, `model`,
Create asset event, with an extra such as `{"model_version": "3", "release": "ml-1m"}`), through
REST or in another DAG. Trigger it by hand to score with an earlier version, with other filters, for
more recommendations per user, or for some users only; others then keep what is published for them.

| task | does | runs as |
| --- | --- | --- |
| wanted | ends the run here if `nightly` announced the model | |
| rescore | fixes data, date, model version and settings | process |
| score.score | scores every movie that a user has not rated | Spark |
| score.publish | audits the result and shows it to readers at once | process |
| score.report | a page about the run: coverage, examples, drift | process |
| summary | the run's figures, as its result | process |
| tidy | removes scratch, also when a task has failed | process |
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, chain, task

from nightreel_common.assets import MODEL, RECOMMENDATIONS
from nightreel_common.parameters import (
    NAMES,
    dataset,
    given,
    optional,
    quoted,
    refuse_unknown,
    run_date,
    scoring_parameters,
    scoring_settings,
)
from nightreel_common.tasks import COMMON, process, score_and_publish

OPTIONS = {
    "dataset": "--dataset",
    "model_version": "--model-version",
    "order_version": "--order-version",
    "ds": "--ds",
    "users": "--users",
}

PARAMETERS: dict[str, Param] = {
    "model_version": optional(
        "string",
        "Model version",
        "Number of a version in the registry. Empty: that of the event, else the champion.",
        pattern="^[1-9][0-9]*$",
    ),
    "order_version": optional(
        "string",
        "Version of order",
        "Number of a version of the models of order. Empty: that of the event, else the champion, "
        "where 'train.order.model' in conf is not 'none'.",
        pattern="^[1-9][0-9]*$",
    ),
    "users": optional(
        "string",
        "Users",
        "Ids with commas between them, as in '17, 2000'. Empty: all users.",
        pattern=NAMES,
    ),
    "dataset": dataset("The run fails unless the tables hold this one. Empty: whatever they hold."),
    "ds": run_date("Date whose recommendations are replaced. Empty: that of the data."),
    **scoring_parameters(),
}


def newest_event(events: Mapping[Any, Any]) -> Any:
    """The newest event that started the run; None if a person or a REST call did."""
    # Airflow's mapping says of every asset that it is in there: of some, without any event.
    found = events.get(MODEL) or []
    return max(found, key=lambda event: event.timestamp, default=None)


def rescore_options(params: Mapping[str, Any], events: Mapping[Any, Any]) -> str:
    """The options of rescore for this run, quoted for the shell."""
    refuse_unknown(params, PARAMETERS)
    event = newest_event(events)
    model = event.extra if event else {}
    told = {"dataset": "release"} | {name: name for name in ("model_version", "order_version")}
    said = {name: model.get(key) for name, key in told.items()}
    known = {name: said.get(name) if value is None else value for name, value in params.items()}
    return quoted(given(known, OPTIONS) + scoring_settings(params))


with DAG(
    dag_id="rescore",
    description="Score and publish again, with another model or other settings",
    doc_md=__doc__,
    schedule=[MODEL],
    dagrun_timeout=timedelta(days=1),
    user_defined_macros={"rescore_options": rescore_options},
    tags=["nightreel", "recommendations"],
    **COMMON,
) as dag:

    @task.short_circuit(
        doc_md="Ends the run if `nightly` announced the model: it scores with it itself.",
    )
    def wanted(triggering_asset_events: Any) -> bool:
        event = newest_event(triggering_asset_events)
        if event is None or event.source_dag_id != "nightly":
            return True
        print("The DAG nightly scores with its own models: there is nothing to do.")
        return False

    rescore = process(
        "rescore",
        "{{ rescore_options(params, triggering_asset_events) }}",
        doc_md="Which data, date, model version and settings this run scores with.",
    )
    chain(wanted(), rescore, score_and_publish([RECOMMENDATIONS]).score)

# After its tasks: each would hold a copy of every parameter, checked whenever the DAG is stored.
dag.params = PARAMETERS
