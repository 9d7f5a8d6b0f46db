"""Put an earlier version of a published table back.

A dry run unless `dry_run` is switched off: the task `preview` then says, in its log and as its
result, what would change. Restoring is one more commit, so it can be undone in the same way.
Versions whose files `cleanup` has removed cannot be restored.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetAlias, Metadata, Param, chain, task
from airflow.sdk.exceptions import AirflowFailException

from nightreel_common.assets import RATINGS, RECOMMENDATIONS
from nightreel_common.parameters import given, optional, quoted, refuse_unknown
from nightreel_common.tasks import COMMON, report

TABLES = [
    "recommendations",
    "movies",
    "users",
    "ratings",
    "quarantine",
    "runs",
    "quality",
    "comparisons",
    "replays",
    "metrics",
    "similar_movies",
    "recommendations_shadow",
]
# Which asset has changed is known when the table is.
RESTORED = AssetAlias("restored", group="nightreel")
ASSETS = {"recommendations": RECOMMENDATIONS, "ratings": RATINGS}

PARAMETERS: dict[str, Param] = {
    "table": Param(
        "recommendations",
        type="string",
        enum=TABLES,
        title="Table",
        description="The table to put back; the others stay as they are.",
    ),
    "version": optional(
        "integer",
        "Version",
        "Number of the version to put back; 'preview' lists them. Empty: the one before this.",
        minimum=0,
    ),
    "at": optional(
        "string",
        "Date or time",
        "Instead of a version: the one that was current at this time, as in '2026-11-23' (the end "
        "of that day) or '2026-11-23T02:00' (UTC).",
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$",
    ),
    "dry_run": Param(
        True,
        type="boolean",
        title="Dry run",
        description="Only show what would change.",
    ),
}


def restore_options(params: Mapping[str, Any]) -> str:
    """The options of restore, but for the one that does it, quoted for the shell."""
    refuse_unknown(params, PARAMETERS)
    if params["version"] is not None and params["at"] is not None:
        raise AirflowFailException("Give a version or a time, not both.")
    names = {name: f"--{name}" for name in ("table", "version", "at")}
    return quoted(given(params, names))


def tell_asset(_context: Any, result: dict[str, Any]) -> Iterator[Metadata]:
    """The event of the table's asset, where it has one."""
    if asset := ASSETS.get(result["table"]):
        yield Metadata(asset, extra=result, alias=RESTORED)


with DAG(
    dag_id="restore",
    description="Put an earlier version of a published table back",
    doc_md=__doc__,
    schedule=None,
    dagrun_timeout=timedelta(hours=6),
    params=PARAMETERS,
    user_defined_macros={"restore_options": restore_options},
    tags=["nightreel", "upkeep"],
    **COMMON,
) as dag:
    preview = report(
        "restore",
        "{{ restore_options(params) }}",
        task_id="preview",
        doc_md="The newest versions, and the rows of each partition before and after.",
    )

    @task.short_circuit(doc_md="Ends the run here if it is a dry run.")
    def for_real(params: dict[str, Any]) -> bool:
        return not params["dry_run"]

    restore = report(
        "restore",
        # What the preview showed; refused if something was published since.
        "--apply --table={{ params.table | quote }} "
        "--version={{ ti.xcom_pull('preview')['restored_version'] }} "
        "--from-version={{ ti.xcom_pull('preview')['from_version'] }}",
        task_id="restore",
        outlets=[RESTORED],
        post_execute=tell_asset,
        doc_md="One commit that puts the version back.",
    )
    chain(preview, for_real(), restore)
