"""Nightly recommendations: from a MovieLens release to the published tables.

| task | does | runs as |
| --- | --- | --- |
| prepare.ingest | brings the release into the raw zone; fixes date, settings, champion | process |
| prepare.etl | cleans, sets bad rows aside, splits, writes Parquet | Spark |
| prepare.explore | a page about the clean data | process |
| prepare.check | checks the clean data, and stops a bad delivery | process |
| prepare.plan | decides whether to train: by `mode`, else `retrain.policy` in `conf/` | process |
| train.train | learns the models, of ratings and of order, one Horovod process per rank | process |
| train.evaluate | measures them on what was held back, beside the champions | process |
| train.refit | lets what was good enough learn from all ratings, and score so | process |
| keep_champion | says why the champion scores instead | |
| score.score | scores every movie that a user has not rated | Spark |
| score.publish | audits the result and shows all tables to readers at once | process |
| promote | makes the models that are good enough champions | process |
| score.report | a page about the run: learning, errors, coverage, drift | process |
| summary | the run's figures, as its result | process |
| tidy | removes scratch, also when a task has failed | process |

Only ingest takes settings. It writes them down for the run, so later steps are told nothing but
the run id, and a retry works with what the first attempt worked with. Every step does its own
output over, so retrying a task, or clearing it with those after it, is safe.

A parameter left empty is as in `conf/`. The Spark master is the connection `spark`.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, TaskGroup, TriggerRule, chain, task
from airflow.sdk.exceptions import AirflowFailException

from nightreel_common.assets import MODEL, RATINGS, RECOMMENDATIONS
from nightreel_common.parameters import (
    dataset,
    date_option,
    given,
    optional,
    quoted,
    refuse_unknown,
    run_date,
    scoring_parameters,
    scoring_settings,
    source,
)
from nightreel_common.tasks import (
    COMMON,
    TRAINING_POOL,
    ingest_and_etl,
    process,
    score_and_publish,
)

# What `mode` makes of the policy that decides whether to train.
POLICIES = {"full": "always", "score-only": "never"}

# Parameters that are settings: the key in conf/ that each one changes for the run.
SETTINGS = {
    "model": "train.model",
    "order_model": "train.order.model",
    "factors": "train.matrix_factorisation.factors",
    "learning_rate": "train.matrix_factorisation.learning_rate",
    "regularisation": "train.matrix_factorisation.regularisation",
    "epochs": "train.matrix_factorisation.epochs",
    "start_from": "train.matrix_factorisation.start_from",
    "warm_start": "train.warm_start",
    "refit": "train.refit",
    "ranks": "train.ranks",
}

PARAMETERS: dict[str, Param] = {
    "mode": optional(
        "string",
        "Mode",
        "'full' trains and scores, 'score-only' scores with the champion. Empty: "
        "'retrain.policy' in conf decides; a run that is given settings of training trains.",
        enum=list(POLICIES),
    ),
    "ds": run_date("Date of the published recommendations. Empty: the day the run is due."),
    "dataset": dataset("'sample' is generated and needs no download. Empty: as in conf."),
    "source": source(),
    "profile": optional(
        "string",
        "Profile",
        "Settings from 'conf/profiles', as in 'james-le'. Empty: none.",
        pattern="^[A-Za-z0-9_][A-Za-z0-9_-]*$",
    ),
    "model": optional(
        "string",
        "Model",
        "Which model of the family is trained, as in 'matrix_factorisation' or 'biases'. Empty: "
        "as in conf.",
        pattern="^[a-z][a-z0-9_]*$",
    ),
    "order_model": optional(
        "string",
        "Model of order",
        "Which model of the family is trained to order movies by what a user will want next, as in "
        "'visits'; 'none': they are ordered by predicted rating. Empty: as in conf.",
        pattern="^[a-z][a-z0-9_]*$",
    ),
    "factors": optional(
        "integer",
        "Factors",
        "Of matrix_factorisation: length of a user's and a movie's embedding, 1 to 4096. Empty: "
        "as in conf.",
        minimum=1,
        maximum=4096,
    ),
    "learning_rate": optional(
        "number",
        "Learning rate",
        "Of matrix_factorisation: step size of the optimiser, above 0 and at most 10. Empty: as "
        "in conf.",
        exclusiveMinimum=0,
        maximum=10,
    ),
    "regularisation": optional(
        "number",
        "Regularisation",
        "Of matrix_factorisation: L2 penalty on embeddings and biases, 0 to 10. Empty: as in conf.",
        minimum=0,
        maximum=10,
    ),
    "epochs": optional(
        "integer",
        "Epochs",
        "Of matrix_factorisation: most passes over the training ratings, 1 to 10000. Empty: as "
        "in conf.",
        minimum=1,
        maximum=10_000,
    ),
    "start_from": optional(
        "string",
        "Start from",
        "Of matrix_factorisation: what movies' rows start from, a model of another release by "
        "title and year, as in 'ml-25m/3', or 'text', their titles and genres. Where releases "
        "share ratings, a model of another makes this one look better than it is. Empty: as in "
        "conf.",
        pattern="^(text|[A-Za-z0-9][A-Za-z0-9_-]*/((rating|order)/)?[1-9][0-9]*)$",
    ),
    "warm_start": optional(
        "boolean",
        "Warm start",
        "Start from the champion's weights; new users and movies start at random. Empty: as in "
        "conf.",
    ),
    "refit": optional(
        "boolean",
        "Refit",
        "Once it was measured on ratings held back, what scores learns from these, too. Empty: as "
        "in conf.",
    ),
    "ranks": optional(
        "integer",
        "Ranks",
        "Horovod processes, 1 to 1024; 1 trains without horovodrun. Empty: as in conf.",
        minimum=1,
        maximum=1024,
    ),
    **scoring_parameters(),
}


def ingest_options(params: Mapping[str, Any], dag_run: Any) -> str:
    """The options of ingest for this run, quoted for the shell.

    Fails for parameters that do not exist or contradict.
    """
    refuse_unknown(params, PARAMETERS)
    options = [date_option(params, dag_run)]
    options += given(params, {name: f"--{name}" for name in ("dataset", "source", "profile")})
    options += given(params, {name: f"--set={key}" for name, key in SETTINGS.items()})
    options += scoring_settings(params)
    asked = [name for name in (*SETTINGS, "profile") if params[name] is not None]
    mode = params["mode"] or ("full" if asked else None)
    if mode == "score-only" and asked:
        raise AirflowFailException(f"Mode score-only trains nothing: leave {asked[0]} empty.")
    if mode:
        options.append(f"--set=retrain.policy={POLICIES[mode]}")
    return quoted(options)


with DAG(
    dag_id="nightly",
    description="MovieLens release to published recommendations",
    doc_md=__doc__,
    # As in cron, in UTC; empty: only what is triggered runs.
    schedule=os.environ.get("NIGHTREEL_SCHEDULE", "0 2 * * *") or None,
    dagrun_timeout=timedelta(days=2),
    user_defined_macros={"ingest_options": ingest_options},
    tags=["nightreel", "recommendations"],
    **COMMON,
) as dag:
    with TaskGroup("prepare", tooltip="From the release to clean, split ratings"):
        ingest, etl = ingest_and_etl()
        explore = process(
            "explore", doc_md="A page about the clean data: what is missing, how ratings spread."
        )
        check = process(
            "check",
            doc_md="Applies the rules of `quality` to the clean data; stops a bad delivery.",
        )
        plan = process("plan", doc_md="Whether this run trains, and why.")

        @task.branch(doc_md="Follows the plan: train, or keep the champion.")
        def train_or_keep(plan: dict[str, Any]) -> str:
            return "train.train" if plan["train"] else "keep_champion"

        planned = train_or_keep(plan.output)
        chain(ingest, etl, [check, explore])
        chain(check, plan)

    with TaskGroup("train", tooltip="Learn a model and measure it"):
        train = process(
            "train",
            pool=TRAINING_POOL,
            execution_timeout=timedelta(hours=24),
            doc_md="Learns the models and exports their factors; best epoch by validation loss.",
        )
        evaluate = process(
            "evaluate",
            execution_timeout=timedelta(hours=2),
            doc_md="RMSE and MAE on the test rows, NDCG of the lists, and what is good enough.",
        )

        @task.branch(doc_md="Scores with a model that is good enough; else with the champion.")
        def own_or_champion(evaluation: dict[str, Any]) -> list[str]:
            champion = [] if evaluation["promoted"] else ["keep_champion"]
            again = ["train.refit"] if evaluation.get("refits") else []
            return [*again, *champion] or ["score.score"]

        refit = process(
            "refit",
            pool=TRAINING_POOL,
            execution_timeout=timedelta(hours=24),
            doc_md="Learns what scores once more, from all ratings, as long as validation said.",
        )
        evaluated = own_or_champion(evaluate.output)
        chain(train, evaluate)

    @task(
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        doc_md="Says why scoring goes on with the champion.",
    )
    def keep_champion(ti: Any) -> dict[str, Any]:
        plan = ti.xcom_pull(task_ids="prepare.plan")
        decided = ti.xcom_pull(task_ids="train.evaluate") if plan["train"] else plan
        champion, reason = decided["model_version"], decided["reason"]
        if champion is None:
            raise AirflowFailException(f"There is no model to score with: {reason}.")
        print(f"Scoring goes on with champion {champion}: {reason}.")
        return {"model_version": champion, "reason": reason}

    @task.short_circuit(
        ignore_downstream_trigger_rules=False,
        doc_md="Whether the tables that stand now are of a model that is to be promoted.",
    )
    def good_enough(ti: Any) -> bool:
        if not ti.xcom_pull(task_ids="prepare.plan")["train"]:
            return False
        return ti.xcom_pull(task_ids="train.evaluate")["promotes"]

    champion = keep_champion()
    ending = score_and_publish(
        [RATINGS, RECOMMENDATIONS], trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
    )
    promote = process(
        "promote", outlets=[MODEL], doc_md="Makes the model the champion, and says so."
    )
    chain(planned, [train, champion])
    chain(evaluated, [refit, ending.score, champion])
    chain([refit, champion], ending.score)
    chain(ending.publish, good_enough(), promote, ending.report)
    chain(explore, ending.tidy)

# After its tasks: each would hold a copy of every parameter, checked whenever the DAG is stored.
dag.params = PARAMETERS
