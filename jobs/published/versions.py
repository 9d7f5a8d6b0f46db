"""Earlier versions of the published tables: which there are, and all tables as they once were."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable

from jobs.published.delta import Commit, commit_at, file_paths, history, is_published, no_table
from jobs.published.log import commit_info, versions_on_disk
from jobs.published.whole import UNDOES, Whole, decisions, newest_whole, shown_version
from jobs.runs.errors import JobError
from jobs.runs.schemas import ALONE, PUBLISHED
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


def never_shown(table: str, version: int) -> JobError:
    return JobError(
        f"Version {version} of table {table} is of a publish that did not come to its end: no "
        f"reader was shown it. Choose another: nightreel history --table {table}"
    )


def taken_back(table: Path) -> dict[int, int]:
    """The commits that took an unfinished publish back, with the version that each put back."""
    told = ((version, commit_info(table, version) or {}) for version in versions_on_disk(table))
    return {version: int(of["restored_version"]) for version, of in told if UNDOES in of}


def undone(back: dict[int, int]) -> set[int]:
    """The versions in between, which no reader was shown."""
    return {between for version, to in back.items() for between in range(to + 1, version)}


def load_version(table: DeltaTable, name: str, version: int, to: str) -> None:
    """Take a table to a version. Raises JobError if some of its files have been removed since.

    `to` says what for, as in "read".
    """
    table.load_as_version(version)
    require_files(table, name, to)


def require_files(table: DeltaTable, name: str, to: str) -> None:
    """Raises JobError if files of the version that a table is at have been removed since."""
    files = file_paths(table)
    if gone := sum(not Path(file).is_file() for file in files):
        raise JobError(
            f"Version {table.version()} of table {name} cannot be {to}: {gone} of its {len(files)} "
            "files are gone, as `nightreel cleanup` removes old ones. Choose a newer version, or "
            "run that date again."
        )


def tables_at(
    warehouse: Warehouse, needed: Iterable[str], at: int | datetime | None
) -> dict[str, DeltaTable]:
    """The needed tables, else all there are, as they belong together now, or `at` once.

    That is as the newest whole publish left them, or the newest by a moment, or the one that made a
    version of `recommendations`. Raises JobError if a needed table, or every table, is missing or
    was so then.
    """
    needed = list(needed)
    found = versions_at(warehouse, at)
    for name in needed or ([] if found else ["recommendations"]):
        if name not in found:
            raise missing(warehouse, name, at)
    tables = {}
    for name in needed or found:
        tables[name] = DeltaTable(warehouse.table(name), version=found[name])
        if at is not None:
            require_files(tables[name], name, to="read")
    return tables


def versions_at(warehouse: Warehouse, at: int | datetime | None) -> dict[str, int]:
    """The versions of all tables that belong together; those that were not published are left out.

    Raises JobError for a version of `recommendations` that there is not, or that nobody was shown.
    """
    whole = newest_whole(warehouse)
    if at is None:
        return known({name: shown_version(warehouse, name, whole) for name in PUBLISHED})
    if isinstance(at, int):
        commits = history(warehouse.table("recommendations"))
        if not commits:
            raise missing(warehouse, "recommendations", None)
        find_version("recommendations", commits, at)
    if whole:
        # The times and versions of the past, the newest first.
        past = list(decisions(warehouse.table("runs"), whole.runs))
        if decided := choose(warehouse, past, at):
            return decided
    moment = at if isinstance(at, datetime) else end_of_publish(warehouse, at)
    found = {
        name: commit_at(history(warehouse.table(name)), moment)
        for name in PUBLISHED
        if is_published(warehouse, name)
    }
    versions = {name: commit.version for name, commit in found.items() if commit}
    return versions | ({"recommendations": at} if isinstance(at, int) else {})


def choose(warehouse: Warehouse, past: list[Whole], at: int | datetime) -> dict[str, int] | None:
    """The versions that were decided; None if that was before there were decisions.

    `past` are the decisions, newest first.
    """
    times = {commit.version: commit.at for commit in history(warehouse.table("runs"))}
    if isinstance(at, datetime):
        decided = next((whole for whole in past if times[whole.runs] <= at), None)
    else:
        made = [whole for whole in past if whole.versions.get("recommendations") == at]
        if not made and at > past[-1].versions.get("recommendations", -1):
            raise never_shown("recommendations", at)
        decided = made[-1] if made else None
    if decided is None:
        return None
    moment = at if isinstance(at, datetime) else times[decided.runs]
    alone = {name: commit_at(history(warehouse.table(name)), moment) for name in ALONE}
    found = decided.versions | {"runs": decided.runs}
    return found | {name: commit.version for name, commit in alone.items() if commit}


def known(versions: dict[str, int | None]) -> dict[str, int]:
    return {name: version for name, version in versions.items() if version is not None}


def missing(warehouse: Warehouse, name: str, at: int | datetime | None) -> JobError:
    """Why a table cannot be read."""
    oldest = [history(warehouse.table(each)) for each in PUBLISHED]
    times = [commits[-1].at for commits in oldest if commits]
    commits = history(warehouse.table(name))
    if isinstance(at, datetime) and commits and commits[-1].at > at:
        if name == "recommendations" and at < min(times):
            return JobError(
                f"Nothing was published in {warehouse} by {at:%Y-%m-%d %H:%M} UTC: the oldest "
                f"version that is known of any table is of {min(times):%Y-%m-%d %H:%M} UTC."
            )
        return no_version(name, f"version of {at:%Y-%m-%d %H:%M} UTC", commits)
    return no_table(warehouse, name)


def end_of_publish(warehouse: Warehouse, version: int) -> datetime:
    """When all tables stood that belong to a version of `recommendations`, before decisions.

    A publish commits `runs` last; a restore commits nothing but its table.
    """
    commits = history(warehouse.table("recommendations"))
    made = next(commit for commit in commits if commit.version == version)
    replaced = next((c.at for c in reversed(commits) if c.version > version), None)
    if made.run_id is None or not is_published(warehouse, "runs"):
        return made.at
    ends = [
        commit.at
        for commit in history(warehouse.table("runs"))
        if commit.run_id == made.run_id
        and made.at <= commit.at
        and (replaced is None or commit.at < replaced)
    ]
    return min(ends, default=made.at)
