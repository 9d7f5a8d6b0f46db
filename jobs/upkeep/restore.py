"""Put an earlier version of a published table back, when what was published since is bad.

    nightreel restore --table recommendations                     shows what would change
    nightreel restore --table recommendations --apply             back to the version before
    nightreel restore --table recommendations --version 12 --apply
    nightreel restore --table recommendations --at 2026-11-23     as that day ended, in UTC
    nightreel restore --table recommendations --at 2026-11-23T02:00

Without --apply nothing is written. With it, a commit puts the earlier version's files back, and one
of `runs` has readers see them: they see the table before or after, and as no version is lost, a
restore can be undone by another. Rows are counted from the table's log; no data is read.

Only this table changes; other tables, runs and model versions stay. A version whose files
`nightreel cleanup` has removed cannot be restored, nor one of a publish that was taken back.
"""

from __future__ import annotations

import argparse
import json
import shlex
from contextlib import nullcontext

from deltalake import DeltaTable
from deltalake.transaction import CommitProperties

from jobs.engines.terminal import show_table
from jobs.published.delta import Commit, File, file_paths, files_of, history, open_table
from jobs.published.log import NO_CHECKPOINT, committing, sync_commit
from jobs.published.versions import (
    find_version,
    load_version,
    never_shown,
    no_version,
    tables_at,
    taken_back,
    undone,
)
from jobs.published.whole import (
    TOGETHER,
    VERSIONS,
    decide,
    in_json,
    newest_versions,
    publishing,
)
from jobs.runs.command import command_arguments, moment, run_command
from jobs.runs.configuration import warehouse_of
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED
from jobs.runs.warehouse import Warehouse


def wanted(arguments: argparse.Namespace, commits: list[Commit], back: dict[int, int]) -> int:
    """The version to restore, of those that readers were shown.

    `commits` are the table's, newest first, `back` as in `versions.taken_back`. Raises JobError,
    saying which ones there are, if there is none.
    """
    never = undone(back)
    shown = [commit for commit in commits if commit.version not in never]
    if arguments.version is None and arguments.at is None:
        held = commits[0].version
        # Where a publish was taken back, readers went on seeing the version from before it.
        while held in back:
            held = back[held]
        earlier = next((commit.version for commit in shown if commit.version < held), None)
        if earlier is None:
            raise no_version(arguments.table, "earlier version", shown)
        return earlier
    if arguments.version in never:
        raise never_shown(arguments.table, arguments.version)
    return find_version(arguments.table, shown, arguments.at or arguments.version)


def seen(warehouse: Warehouse, name: str) -> tuple[DeltaTable, list[Commit]]:
    """A table as readers see it, and its commits up to there, newest first.

    Raises JobError where they see none.
    """
    [table] = tables_at(warehouse, [name], None).values()
    commits = history(warehouse.table(name))
    return table, [commit for commit in commits if commit.version <= table.version()]


def is_done(from_version: int | None, version: int, commits: list[Commit]) -> bool:
    """Whether an earlier attempt has restored the version already.

    Raises JobError if the table has moved on from the version that was to be replaced.
    """
    newest = commits[0]
    if from_version is None or newest.version == from_version:
        return False
    if newest.version == from_version + 1 and newest.operation == f"RESTORE {version}":
        return True
    raise JobError(
        f"The table was to be restored from version {from_version}, and is at {newest.version} now "
        f"(by run {newest.run_id}). Look at it again, then restore."
    )


def check(name: str, current: DeltaTable, target: DeltaTable) -> None:
    """Raise JobError if there is nothing to restore."""
    if set(file_paths(target)) == set(file_paths(current)):
        raise JobError(
            f"Version {target.version()} of table {name} is what readers see already, as version "
            f"{current.version()}. Choose another with --version or --at."
        )


def show(commits: list[Commit], now: set[File], then: set[File]) -> None:
    """Print the newest versions, and the rows of each partition before and after the restore."""
    versions = ((c.version, f"{c.at:%Y-%m-%d %H:%M:%S}", *c[2:]) for c in commits[:10])
    headers = ["Version", "Time (UTC)", "Run", "Model version", "Operation"]
    show_table("Newest versions", headers, versions, numbers={"Version"})
    changed = {file.partition for file in now ^ then}
    others = f"unchanged: {len({file.partition for file in now} - changed)}"
    rows = {name: [0, 0] for name in sorted(changed)}
    for column, files in enumerate((now, then)):
        for file in files:
            name = file.partition if file.partition in changed else others
            rows.setdefault(name, [0, 0])[column] += file.rows
    cells = ((name, f"{before:,}", f"{after:,}") for name, (before, after) in rows.items())
    headers = ["Partition", "Rows now", "Rows after"]
    show_table("What changes", headers, cells, numbers={"Rows now", "Rows after"})


def restore(warehouse: Warehouse, name: str, current: DeltaTable, version: int) -> None:
    """Put a version back, and have readers see it beside the other tables as they are.

    If it is killed between its two commits, whoever publishes or restores next makes the second.
    """
    told = {"restored_version": str(version)}
    if name == "runs":
        told[VERSIONS] = in_json(newest_versions(warehouse))
    with committing(warehouse.table(name)):
        current.restore(
            version,
            commit_properties=CommitProperties(custom_metadata=told),
            post_commithook_properties=NO_CHECKPOINT,
        )
    sync_commit(warehouse.table(name), current.version())
    if name in TOGETHER:
        decide(warehouse)


def main(argv: list[str] | None = None) -> None:
    """`nightreel restore`."""
    parser = command_arguments(__doc__)
    parser.add_argument("--table", required=True, choices=PUBLISHED, help="the table to restore")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--version", type=int, help="the version (default: the one before)")
    chosen.add_argument("--at", type=moment, help="the version that was current at that time")
    parser.add_argument(
        "--from-version", type=int, metavar="N", help="only if the table is still at version N"
    )
    parser.add_argument("--apply", action="store_true", help="restore it, not only show it")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args(argv)
    warehouse, name = warehouse_of(arguments), arguments.table
    back = taken_back(warehouse.table(name))
    version = wanted(arguments, seen(warehouse, name)[1], back)
    # The lock of publish: no run commits between what is shown here and this commit.
    with publishing(warehouse) if arguments.apply else nullcontext():
        (current, commits), target = seen(warehouse, name), open_table(warehouse, name)
        before = current.version()
        load_version(target, name, version, to="restored")
        done_before = is_done(arguments.from_version, version, commits)
        if not done_before:
            check(name, current, target)
        show(commits, files_of(current), files_of(target))
        if arguments.apply and not done_before:
            restore(warehouse, name, current, version)
    after = current.version() if arguments.apply else None
    if after is not None:
        print(f"Table {name} holds what version {version} held; it is at version {after} now.")
    else:
        command = f"nightreel restore --table {name} --version {version} --apply"
        if arguments.warehouse:
            command += f" --warehouse {shlex.quote(arguments.warehouse)}"
        print(f"Nothing was changed: this was a dry run. To restore version {version}: {command}")
    if arguments.json:
        done = {"table": name, "dry_run": not arguments.apply, "from_version": before}
        done |= {"restored_version": version, "version": after}
        print(json.dumps(done | {"rows": sum(file.rows for file in files_of(target))}))


if __name__ == "__main__":
    run_command(main)
