"""Remove what nobody needs any more: folders of old runs, scratch, replaced files of tables.

Runs every Sunday; by hand, `dry_run` only shows what would go. Kept are the newest runs, those
that may still be working, the newest published one of each release, and whatever these build on.
Deliveries, tracked runs and model versions stay. A table can be restored only to versions that are
younger than `keep_days`. With `publish.keep_dates` in `conf/`, older dates leave `recommendations`,
`recommendations_shadow` and `similar_movies`, and PostgreSQL.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from nightreel_common.parameters import given, quoted, refuse_unknown
from nightreel_common.tasks import COMMON, report

PARAMETERS: dict[str, Param] = {
    "keep_runs": Param(
        30,
        type="integer",
        minimum=1,
        maximum=100_000,
        title="Runs to keep",
        description="Folders of the newest runs, with their clean data, models and scores.",
    ),
    "keep_days": Param(
        7,
        type="integer",
        minimum=0,
        maximum=30,
        title="Days to keep replaced files",
        description="Tables can be restored as far back as this, up to 30 days. Below 7, a reader "
        "that began before a table was replaced may fail.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only show what would be removed.",
    ),
}


def cleanup_options(params: Mapping[str, Any]) -> str:
    """The options of cleanup, quoted for the shell."""
    refuse_unknown(params, PARAMETERS)
    options = given(params, {"keep_runs": "--keep-runs", "keep_days": "--keep-days"})
    return quoted(options + ["--dry-run"] * params["dry_run"])


with DAG(
    dag_id="cleanup",
    description="Remove old runs, scratch and replaced files",
    doc_md=__doc__,
    schedule="0 5 * * 0",
    dagrun_timeout=timedelta(hours=12),
    params=PARAMETERS,
    user_defined_macros={"cleanup_options": cleanup_options},
    tags=["nightreel", "upkeep"],
    **COMMON,
) as dag:
    report(
        "cleanup",
        "{{ cleanup_options(params) }}",
        task_id="cleanup",
        execution_timeout=timedelta(hours=6),
        doc_md="Removes, or only lists, and counts what goes.",
    )
