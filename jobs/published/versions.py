"""Earlier versions of the published tables: which there are, and all tables as they once were."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable

from jobs.published.delta import Commit, commit_at, file_paths, history, is_published, open_table
from jobs.runs.errors import JobError
from jobs.runs.schemas import PUBLISHED
from jobs.runs.warehouse import Warehouse


def find_version(table: str, commits: list[Commit], at: int | datetime) -> int:
    """The version of a table with that number, or that was current at that moment.

    `commits` are the table's, newest first. Raises JobError, saying which versions there are.
    """
    if isinstance(at, datetime):
        if commit := commit_at(commits, at):
            return commit.version
        raise no_version(table, f"version of {at:%Y-%m-%d %H:%M} UTC", commits)
    if not commits[-1].version <= at <= commits[0].version:
        raise no_version(table, f"version {at}", commits)
    return at


def no_version(table: str, wanted: str, commits: list[Commit]) -> JobError:
    newest, oldest = commits[0], commits[-1]
    return JobError(
        f"Table {table} has no {wanted}. Its versions are {oldest.version} to {newest.version}, "
        f"the oldest of {oldest.at:%Y-%m-%d %H:%M} UTC."
    )


def load_version(table: DeltaTable, name: str, version: int, to: str) -> None:
    """Take a table to a version. Raises JobError if some of its files have been removed since.

    `to` says what for, as in "read".
    """
    table.load_as_version(version)
    files = file_paths(table)
    if missing := sum(not Path(file).is_file() for file in files):
        raise JobError(
            f"Version {version} of table {name} cannot be {to}: {missing} of its {len(files)} "
            "files are gone, as `nightreel cleanup` removes old ones. Choose a newer version, or "
            "run that date again."
        )


def tables_at(
    warehouse: Warehouse, needed: Iterable[str], at: int | datetime | None
) -> dict[str, DeltaTable]:
    """The needed tables, else all there are, as they are now, or were `at` a moment or version.

    A number is a version of `recommendations`; the others are as its publish left them. Raises
    JobError if a needed table, or every table, is missing or was so then.
    """
    needed = list(needed)
    existing = [name for name in PUBLISHED if is_published(warehouse, name)]
    tables = {
        name: open_table(warehouse, name) for name in needed or existing or ["recommendations"]
    }
    if at is None:
        return tables
    version, moment = None, at
    if not isinstance(moment, datetime):
        version, moment = moment, end_of_publish(warehouse, moment)
    oldest = []
    for name, table in list(tables.items()):
        commits = history(table)
        oldest.append(commits[-1].at)
        if not needed and commit_at(commits, moment) is None:
            del tables[name]
            continue
        which = version if version is not None and name == "recommendations" else moment
        load_version(table, name, find_version(name, commits, which), to="read")
    if not tables:
        raise JobError(
            f"Nothing was published in {warehouse} by {moment:%Y-%m-%d %H:%M} UTC: the oldest "
            f"version that is known of any table is of {min(oldest):%Y-%m-%d %H:%M} UTC."
        )
    return tables


def end_of_publish(warehouse: Warehouse, version: int) -> datetime:
    """When all tables stood that belong to a version of `recommendations`.

    A publish commits `runs` last; a restore commits nothing but its table.
    """
    commits = history(open_table(warehouse, "recommendations"))
    find_version("recommendations", commits, version)
    made = next(commit for commit in commits if commit.version == version)
    replaced = next((c.at for c in reversed(commits) if c.version > version), None)
    if made.run_id is None or not is_published(warehouse, "runs"):
        return made.at
    ends = [
        commit.at
        for commit in history(open_table(warehouse, "runs"))
        if commit.run_id == made.run_id
        and made.at <= commit.at
        and (replaced is None or commit.at < replaced)
    ]
    return min(ends, default=made.at)
