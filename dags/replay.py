"""Play a release's past again: how good lists are that were trained more or less often.

Nothing that people read is replaced: the result are a page, `replay.html` in the run's folder, and
the run's rows of the table `replays`. Trainings run side by side, as many at once as the pool
`nightreel_training` has slots. A run that was stopped goes on with what is missing when its tasks
are cleared.

| task | does | runs as |
| --- | --- | --- |
| ingest | release to the raw zone, unchanged; fixes date and settings | process |
| etl | raw files to clean, split and indexed Parquet | Spark |
| parts | what is to be trained, at which cuts | process |
| train_one | one of these; mapped over all | processes |
| replay | lists after every cut, measured: page and table | process |
| tidy | removes scratch, also when a task has failed | process |
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from nightreel_common.parameters import (
    ORDER_MEMBERS,
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

POLICIES = ["always", "weekly", "fold-in", "never"]
DATES = r"\s*\d{4}-\d\d-\d\d(\s*,\s*\d{4}-\d\d-\d\d)*\s*"

PARAMETERS: dict[str, Param] = {
    "members": some_of(
        ORDER_MEMBERS,
        "Members",
        "Models of the family, of order. Empty: 'replay.members' in conf.",
    ),
    "policies": some_of(
        POLICIES,
        "Policies",
        "When they are trained: 'always' at every cut; 'weekly' where seven days have passed; "
        "'fold-in' at the first alone, with rows of users made at each; 'never' without. Empty: "
        "as in conf.",
    ),
    "periods": optional(
        "integer",
        "Periods",
        "Into how many, of equally many ratings, what comes after the first cut is parted. Empty: "
        "as in conf.",
        minimum=1,
    ),
    "cuts": optional(
        "string",
        "Cuts",
        "Dates to cut at in place of periods, as in '2000-11-01, 2000-12-01'. Empty: as in conf.",
        pattern=f"^{DATES}$",
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
    options += given(params, {"periods": "--set=replay.periods"})
    for name in ("members", "policies"):
        if params[name]:
            options.append(f"--set=replay.{name}={json.dumps(params[name])}")
    if params["cuts"]:
        cuts = [cut.strip() for cut in params["cuts"].split(",")]
        options.append(f"--set=replay.cuts={json.dumps(cuts)}")
    return quoted(options)


with DAG(
    dag_id="replay",
    description="The past played again, trained more or less often",
    doc_md=__doc__,
    schedule=None,
    dagrun_timeout=timedelta(days=4),
    user_defined_macros={"ingest_options": ingest_options},
    tags=["nightreel"],
    **COMMON,
) as dag:
    side_by_side(
        "replay",
        "train_one",
        parts="The names of all that is to be trained.",
        each="Trains one member on what was known at one cut.",
        whole="The lists of every policy after every cut, measured, as a page and a table.",
    )

# After its tasks: each would hold a copy of every parameter, checked whenever the DAG is stored.
dag.params = PARAMETERS
