"""Train several models on the same data, measure them alike, and show which is best, at what price.

No table of recommendations is replaced: the result are a page, `comparison.html` in the run's
folder, and the run's rows of the table `comparisons`; with 'Promote', champions, too. Members learn
side by side, as many at once as the pool `nightreel_training` has slots; one that fails or takes
too long is left out, and the page says why. A run that was stopped goes on with what is missing
when its tasks are cleared.

| task | does | runs as |
| --- | --- | --- |
| ingest | release to the raw zone, unchanged; fixes date and settings | process |
| etl | raw files to clean, split and indexed Parquet | Spark |
| parts | what is to be trained and measured | process |
| train_and_measure | one of these; mapped over all | processes |
| compare | leaderboards, intervals, agreement of lists: page and table | process |
| tidy | removes scratch, also when a task has failed | process |
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from nightreel_common.parameters import (
    NUMBERS,
    ORDER_MEMBERS,
    RATING_MEMBERS,
    dataset,
    date_option,
    given,
    optional,
    quoted,
    refuse_unknown,
    run_date,
    some_of,
    source,
)
from nightreel_common.tasks import COMMON, side_by_side

MEMBERS = [*RATING_MEMBERS, *ORDER_MEMBERS]
# Made of others, whose settings are searched for instead.
SEARCHED = [member for member in MEMBERS if member not in ("blend", "order_blend")]
SPLITS = ["random", "stratified", "folds", "leave-last-out", "time"]

PARAMETERS: dict[str, Param] = {
    "members": some_of(
        MEMBERS,
        "Members",
        "Models of the family, of ratings and of order. Empty: 'compare.members' in conf.",
    ),
    "seeds": optional(
        "string",
        "Seeds",
        "One training of each member from each, as in '7, 8, 9'. Empty: as in conf.",
        pattern=f"^{NUMBERS}$",
    ),
    "minutes": optional(
        "number",
        "Time for each",
        "Minutes that one training may take, else it is left out. Empty: as in conf.",
        exclusiveMinimum=0,
    ),
    "search": some_of(
        SEARCHED,
        "Search settings of",
        "Models whose settings are searched for, by validation alone; what is found takes part. "
        "Empty: as in conf, which names none.",
    ),
    "trials": optional(
        "integer", "Trials", "Most trainings of one search. Empty: as in conf.", minimum=1
    ),
    "search_minutes": optional(
        "number",
        "Time for a search",
        "Minutes after which a search begins no other training. Empty: as in conf.",
        exclusiveMinimum=0,
    ),
    "folds": optional(
        "integer",
        "Folds",
        "Models of ratings are trained once for each, and measured on it; goes with neither search "
        "nor promote. Empty: as in conf, which measures once, on the split.",
        minimum=2,
    ),
    "promote": optional(
        "boolean",
        "Promote",
        "Whether the best by validation become champions, if the gates of a nightly run let them; "
        "on the split that today's champions were trained on. Empty: as in conf.",
    ),
    "split": optional(
        "string",
        "Split of ratings",
        "How ratings are dealt to train, validation and test. Empty: as in conf.",
        enum=SPLITS,
    ),
    "dataset": dataset("'sample' is generated and needs no download. Empty: as in conf."),
    "source": source(),
    "ds": run_date("Date that the rows of the table say. Empty: the day the run is due."),
}


def ingest_options(params: Mapping[str, Any], dag_run: Any) -> str:
    """The options of ingest for this run, quoted for the shell."""
    refuse_unknown(params, PARAMETERS)
    options = [date_option(params, dag_run)]
    options += given(params, {name: f"--{name}" for name in ("dataset", "source")})
    numbers = ("minutes", "trials", "search_minutes", "folds", "promote")
    settings = {name: f"compare.{name}" for name in numbers} | {"split": "etl.split"}
    options += given(params, {name: f"--set={key}" for name, key in settings.items()})
    for name in ("members", "search"):
        if params[name]:
            options.append(f"--set=compare.{name}={json.dumps(params[name])}")
    if params["seeds"]:
        seeds = [int(seed) for seed in params["seeds"].split(",")]
        options.append(f"--set=compare.seeds={json.dumps(seeds)}")
    return quoted(options)


with DAG(
    dag_id="compare",
    description="Several models on the same data, measured alike",
    doc_md=__doc__,
    schedule=None,
    dagrun_timeout=timedelta(days=4),
    user_defined_macros={"ingest_options": ingest_options},
    tags=["nightreel"],
    **COMMON,
) as dag:
    side_by_side(
        "compare",
        "train_and_measure",
        parts="The names of all that is to be trained and measured.",
        each="Trains one member from one seed, and measures it on what was held back.",
        whole="Leaderboards, paired intervals and agreement of lists, as a page and a table.",
    )

# After its tasks: each would hold a copy of every parameter, checked whenever the DAG is stored.
dag.params = PARAMETERS
