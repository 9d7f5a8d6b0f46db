"""What is published for users whom a run did not score stays, beside the rows of those it did."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from jobs.engines.duck import add_view, copy, duckdb_columns, open_tables, quoted
from jobs.published.commit import with_others
from jobs.published.delta import is_published, open_table
from jobs.published.parquet import ROWS_OF_GROUP
from jobs.published.runs_table import releases_of
from jobs.published.views import view_of
from jobs.runs import schemas
from jobs.runs.errors import JobError
from jobs.runs.run import Run


def merge_others(run: Run, name: str, scored: str) -> None:
    """Write what a table gets: the chosen users' rows, and those published for others of that date.

    `scored` is the output that has the chosen users'.
    Raises JobError if nothing is published for the date, or another release's.
    """
    assert run.users is not None
    tables = open_tables({}, scratch=run.staging)
    add_view(tables, "chosen", run.output(scored), *schemas.PUBLISHED[name])
    of_date = f"ds = {quoted(run.ds.isoformat())}"
    columns = schemas.columns_of(schemas.RECOMMENDATIONS)
    nothing = f"Nothing is published for {run.ds} in {name} yet: score all users, without --users."
    if not is_published(run.warehouse, name):
        raise JobError(nothing)
    table = open_table(run.warehouse, name)
    published = f"({view_of(tables, table, columns, of_date)}) where {of_date}"
    run_ids = tables.execute(f"select distinct run_id from {published}").fetchall()
    if not run_ids:
        raise JobError(nothing)
    releases = releases_of(run.warehouse, [run_id for (run_id,) in run_ids])
    if releases != {run.release}:
        raise JobError(
            f"What is published for {run.ds} is of release {', '.join(sorted(releases))}, and not "
            f"of {run.release}: score all users, without --users."
        )
    others = f"from {published} and not list_contains({list(run.users)}, user_id)"
    rows = f"from chosen union all by name ({others})"
    write_by_user(tables, rows, with_others(run, scored) / f"ds={run.ds}")


def write_by_user(tables: duckdb.DuckDBPyConnection, rows: str, partition: Path) -> None:
    """Write rows of schemas.RECOMMENDATIONS, of one date, replacing the folder of its partition.

    They lie by user: the bounds of row groups tell readers which users each holds.
    """
    columns = [name for name in schemas.columns_of(schemas.RECOMMENDATIONS) if name != "ds"]
    kinds = duckdb_columns(schemas.RECOMMENDATIONS)
    chosen = ", ".join(f"cast({name} as {kinds[name]}) as {name}" for name in columns)
    shutil.rmtree(partition.parent, ignore_errors=True)
    partition.mkdir(parents=True)
    query = f"select {chosen} from ({rows}) order by user_id, rank"
    copy(tables, query, partition / "part-0.parquet", f", row_group_size {ROWS_OF_GROUP}")
