"""The newest whole publish: which versions of the tables belong together.

A publish commits several tables, one after another, and `runs` last. That last commit names the
version of every other table: it is the decision, and readers take the versions that the newest one
names. So they see all of a publish or nothing, however it ends. A restore, and cleanup where it
takes out dates, end with such a commit too.

`quality` and `comparisons` stand apart: they tell of data and models that were perhaps never
published.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deltalake import DeltaTable
from deltalake.transaction import CommitProperties

from jobs.published.delta import is_committed
from jobs.published.log import (
    NO_CHECKPOINT,
    commit_info,
    committing,
    newest_version,
    repair_log,
    sync_commit,
    versions_on_disk,
)
from jobs.runs.files import read_json, remove_record, write_json
from jobs.runs.schemas import ALONE, PUBLISHED
from jobs.runs.warehouse import Warehouse
from model.files import sync

# What commits say of themselves.
VERSIONS = "versions"
"""Of `runs`: JSON of the other tables' versions that belong together from this commit on."""
PART_OF = "part_of"
"""The attempt at a publish that a commit is one of several of: alone it shows nothing."""
UNDOES = "undoes"
"""Takes the parts of a publish back that did not come to its end."""

TOGETHER = tuple(name for name in PUBLISHED if name not in (*ALONE, "runs"))


class Whole(NamedTuple):
    """What one commit of `runs` has decided."""

    runs: int
    """Its own version."""
    versions: dict[str, int]
    """Of the other tables; one that is not named was not published yet."""


def newest_whole(warehouse: Warehouse) -> Whole | None:
    """The newest decision; None before the first, as in warehouses of before there were any."""
    runs = warehouse.table("runs")
    newest = newest_version(runs)
    return next(decisions(runs, newest), None) if newest is not None else None


def decisions(runs: Path, newest: int) -> Iterator[Whole]:
    """The decisions in the log of `runs`, from a version on backwards.

    A commit that names none, as one that another program made, goes on with the one before it.
    """
    pending: list[int] = []
    for version in versions_on_disk(runs):
        if version > newest:
            continue
        told = (commit_info(runs, version) or {}).get(VERSIONS)
        pending.append(version)
        if told is not None:
            yield from (Whole(each, json.loads(told)) for each in pending)
            pending = []


def shown_version(warehouse: Warehouse, name: str, whole: Whole | None) -> int | None:
    """The version of a table that readers see; None where they see none."""
    table = warehouse.table(name)
    if whole and name == "runs":
        return whole.runs
    if whole and name in TOGETHER:
        return whole.versions.get(name)
    if name in ALONE:
        return newest_version(table)
    return before_parts(table)


def before_parts(table: Path) -> int | None:
    """The newest version that no unfinished publish has part in; None if there is none."""
    for version in versions_on_disk(table):
        told = commit_info(table, version)
        if told is not None and (UNDOES in told or PART_OF not in told):
            return version
    return None


@contextmanager
def publishing(warehouse: Warehouse) -> Iterator[None]:
    """Hold the lock of publish, and begin with tables that are whole.

    What an earlier attempt left, which failed, was killed, or lost its power, is put right first.
    """
    with warehouse.publish_lock():
        settle(warehouse)
        yield


def settle(warehouse: Warehouse) -> None:
    """Remove what dead attempts left, take back their commits, and let single ones count.

    The caller holds the lock of publish.
    """
    for name in PUBLISHED:
        repair_log(warehouse.table(name))
    forget_attempt(warehouse)
    whole = newest_whole(warehouse)
    moved = False
    for name in TOGETHER:
        table = warehouse.table(name)
        newest = newest_version(table)
        if newest is None or newest == (shown := shown_version(warehouse, name, whole)):
            continue
        if has_parts(table, shown):
            take_back(warehouse, name, shown)
        moved = True
    if moved:
        decide(warehouse)


def has_parts(table: Path, shown: int | None) -> bool:
    """Whether an unfinished publish has committed to a table since the version that is shown."""
    for version in versions_on_disk(table):
        told = commit_info(table, version) or {}
        if version == shown or UNDOES in told:
            return False
        if PART_OF in told:
            return True
    return False


def take_back(warehouse: Warehouse, name: str, shown: int | None) -> None:
    """Make a table hold what readers see of it."""
    table = warehouse.table(name)
    if shown is None:
        # Of a first publish: nobody has ever been shown the table.
        gone = table.with_name(f".undone-{name}")
        # Left there by who was killed while removing it.
        shutil.rmtree(gone, ignore_errors=True)
        table.rename(gone)
        sync(table.parent)
        shutil.rmtree(gone)
        print(f"{name}: an unfinished first publish is taken back", flush=True)
        return
    opened = DeltaTable(table)
    made = commit_info(table, shown) or {}
    # Whose rows they are, and of which date, others go by.
    told: dict[str, Any] = {k: made[k] for k in ("run_id", "ds", "model_version") if k in made}
    told |= {UNDOES: str(opened.version()), "restored_version": str(shown)}
    opened.restore(
        shown,
        commit_properties=CommitProperties(custom_metadata=told),
        post_commithook_properties=NO_CHECKPOINT,
    )
    sync_commit(table, opened.version())
    print(f"{name}: an unfinished publish is taken back, to version {shown}", flush=True)


def decide(warehouse: Warehouse) -> None:
    """Have readers see the newest version of every table, by a commit of `runs` without rows.

    Where there is no `runs` yet, no publish has come to its end, and there is nothing to decide.
    """
    runs = warehouse.table("runs")
    if newest_version(runs) is None:
        return
    opened = DeltaTable(runs)
    told = CommitProperties(custom_metadata={VERSIONS: in_json(newest_versions(warehouse))})
    with committing(runs):
        opened.create_write_transaction(
            [],
            "append",
            opened.schema(),
            opened.metadata().partition_columns,
            commit_properties=told,
            post_commithook_properties=NO_CHECKPOINT,
        )
    opened.update_incremental()
    sync_commit(runs, opened.version())


def newest_versions(warehouse: Warehouse) -> dict[str, int]:
    """Of every table that a decision names."""
    found = {name: newest_version(warehouse.table(name)) for name in TOGETHER}
    return {name: version for name, version in found.items() if version is not None}


def in_json(versions: dict[str, int]) -> str:
    return json.dumps(versions, sort_keys=True)


def attempt_file(warehouse: Warehouse) -> Path:
    """The note of the attempt that is placing files: it is gone when all are committed."""
    return warehouse.tables / ".publish.json"


def note_attempt(warehouse: Warehouse, attempt: str) -> None:
    """Note that files of this attempt are about to be placed."""
    write_json(attempt_file(warehouse), {"attempt": attempt})


def forget_attempt(warehouse: Warehouse) -> None:
    """Remove the files that the noted attempt has placed and not committed, then the note."""
    noted = read_json(attempt_file(warehouse)) or {}
    attempt = str(noted.get("attempt"))
    for name in PUBLISHED if noted else ():
        table = warehouse.table(name)
        if is_committed(table, attempt):
            continue
        if left := list(table.rglob(f"part-*-{attempt}.parquet")):
            size = sum(file.stat().st_size for file in left)
            for file in left:
                file.unlink()
            print(
                f"{name}: removed {len(left)} files, {size:,} bytes, of an attempt that failed",
                flush=True,
            )
    remove_record(attempt_file(warehouse))
