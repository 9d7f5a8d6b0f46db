"""Take a date out of the published tables, as after a night whose clock was wrong.

    nightreel forget --ds 2031-01-02              shows what would go
    nightreel forget --ds 2031-01-02 --apply

The date's recommendations, those of a challenger too, and similar movies go, and the rows of its
runs in `runs`, `metrics` and `quarantine`. Where `movies`, `users` and `ratings` are of such a run
they go back to the version before, and the next night's replace them. Readers see all of it at
once. The versions from before stay until cleanup removes them: `nightreel sql --at` reads them. The
runs' folders, models and champion stay.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.transaction import CommitProperties

from jobs.engines.terminal import show_table
from jobs.published.delta import file_paths, new_attempt
from jobs.published.log import (
    NO_CHECKPOINT,
    commit_info,
    committing,
    newest_version,
    sync_commit,
    versions_on_disk,
)
from jobs.published.runs_table import runs_of
from jobs.published.versions import taken_back, undone
from jobs.published.whole import (
    PART_OF,
    VERSIONS,
    decide,
    decisions,
    in_json,
    newest_versions,
    newest_whole,
    publishing,
)
from jobs.runs.command import command_arguments, day
from jobs.runs.configuration import load_configuration, postgresql_dsn, warehouse_of
from jobs.runs.errors import JobError
from jobs.runs.schemas import BY_DATE, CLEAN
from jobs.runs.warehouse import Warehouse
from jobs.sinks.postgresql import connection_to
from jobs.sinks.postgresql_dates import dates_in, drop_dates
from jobs.upkeep.old_dates import dates_of


def version_before(warehouse: Warehouse, name: str, run_ids: set[str]) -> int | None:
    """The version of a table that these runs did not make; None if the newest is not theirs.

    Raises JobError if all that readers were ever shown is theirs, or files of it are gone.
    """
    table = warehouse.table(name)
    newest = newest_version(table)
    if newest is None or (commit_info(table, newest) or {}).get("run_id") not in run_ids:
        return None
    for version in shown_versions(warehouse, name):
        made_by = (commit_info(table, version) or {}).get("run_id")
        if made_by and made_by not in run_ids:
            require_there(warehouse, name, version)
            return version
    raise JobError(
        f"All that table {name} ever held is of these runs: publish another date first, with "
        "make nightly, and then forget this one."
    )


def require_there(warehouse: Warehouse, name: str, version: int) -> None:
    """Raises JobError where files of a version are gone, which then cannot be put back."""
    files = file_paths(DeltaTable(warehouse.table(name), version=version))
    if gone := sum(not Path(file).is_file() for file in files):
        raise JobError(
            f"Table {name} would go back to version {version}, of which {gone} of {len(files)} "
            "files are gone: erase removes those that name who was erased, and cleanup old ones. "
            "Publish another date first, with make nightly, and then forget this one."
        )


def shown_versions(warehouse: Warehouse, name: str) -> Iterator[int]:
    """The versions of a table that readers were shown, newest first; some come several times."""
    whole, table = newest_whole(warehouse), warehouse.table(name)
    oldest = None
    for decided in decisions(warehouse.table("runs"), whole.runs) if whole else ():
        version = decided.versions.get(name)
        if version is not None:
            oldest = version
            yield version
    # Before publishes were decisions, readers were shown every commit.
    never = undone(taken_back(table))
    for version in versions_on_disk(table):
        if (oldest is None or version < oldest) and version not in never:
            yield version


def forget(warehouse: Warehouse, ds: date, run_ids: set[str], back: dict[str, int]) -> None:
    """Take it out; the caller holds the lock of publish.

    As in a publish, `runs` comes last and decides: who is stopped before that has changed nothing.
    """
    runs = ", ".join("'" + run_id.replace("'", "''") + "'" for run_id in sorted(run_ids))
    rows = dict.fromkeys(BY_DATE, f"ds = '{ds}'")
    rows |= dict.fromkeys(("quarantine", "metrics", "runs"), f"run_id in ({runs})") if runs else {}
    attempt = new_attempt()

    def how(name: str) -> dict[str, Any]:
        told = {"removed_dates": f"'{ds}'"}
        if name == "runs":
            told[VERSIONS] = in_json(newest_versions(warehouse))
        else:
            told[PART_OF] = attempt
        return {
            "commit_properties": CommitProperties(custom_metadata=told),
            "post_commithook_properties": NO_CHECKPOINT,
        }

    for name, version in back.items():
        table = DeltaTable(warehouse.table(name))
        with committing(warehouse.table(name)):
            table.restore(version, **how(name))
        sync_commit(warehouse.table(name), table.version())
    for name, where in rows.items():
        if newest_version(warehouse.table(name)) is not None:
            table = DeltaTable(warehouse.table(name))
            # Partitions alone are looked at: no file is read or written.
            with committing(warehouse.table(name)):
                table.delete(where, **how(name))
            table.update_incremental()
            sync_commit(warehouse.table(name), table.version())
    if not runs:
        decide(warehouse)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = command_arguments(__doc__)
    parser.add_argument("--ds", type=day, required=True, help="the date, as YYYY-MM-DD")
    parser.add_argument("--apply", action="store_true", help="take it out, not only show it")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """`nightreel forget`."""
    arguments = parse_arguments(argv)
    warehouse, ds = warehouse_of(arguments), arguments.ds
    dsn = postgresql_dsn(load_configuration(warehouse=arguments.warehouse))
    with publishing(warehouse) if arguments.apply else nullcontext():
        run_ids = runs_of(warehouse, ds)
        if ds not in dates_of(warehouse) and not run_ids:
            raise JobError(f"Nothing is published for {ds}.")
        found = {name: version_before(warehouse, name, run_ids) for name in CLEAN}
        back = {name: version for name, version in found.items() if version is not None}
        by_date = [name for name in BY_DATE if newest_version(warehouse.table(name)) is not None]
        rows = [(f"date {ds} of {name}",) for name in by_date]
        rows += [(f"run {run_id} in runs, metrics and quarantine",) for run_id in sorted(run_ids)]
        rows += [(f"{name}: back to version {version}",) for name, version in back.items()]
        show_table("To be taken out", [""], rows)
        if arguments.apply:
            forget(warehouse, ds, run_ids, back)
    if not arguments.apply:
        print("Nothing was changed: this was a dry run. To take it out: --apply")
        return
    if dsn:
        with connection_to(dsn) as server:
            drop_dates(server, [each for each in dates_in(server) if each == ds])
    print(f"{ds} is taken out. Copies elsewhere follow with: nightreel sink")
