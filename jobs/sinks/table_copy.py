"""Make a Delta table in an object store hold the files of a local one.

Files that are not there yet are uploaded first, under their own names, where no reader looks. One
commit then takes in what the local version has gained and takes out what it has lost, whatever made
the difference: a publish, several, or a restore. Readers see the table before or after, and a copy
that is killed at any moment leaves it as it was.

Each commit notes the local table's id and version, as Delta's `txn`: so the tables of another
warehouse are recognised, and of two copies at once only one can commit.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import obstore
from deltalake import DeltaTable, Schema
from deltalake.transaction import (
    AddAction,
    CommitProperties,
    RemoveAction,
    Transaction,
    create_table_with_add_actions,
)

from jobs.engines.object_store import DELTA_OPTIONS, FAILURES, open_store
from jobs.runs.errors import JobError

# What a local commit says of itself and its copy repeats.
TOLD = ("run_id", "model_version", "ds", "restored_version")


class Entry(NamedTuple):
    """A file of a version, as its log describes it."""

    size: int
    modification_time: int
    """In milliseconds."""
    partition: dict[str, str | None]


class Local(NamedTuple):
    """A version of a table of the warehouse."""

    folder: Path
    table: DeltaTable
    commit: CommitProperties
    """What the commit that made it said of itself, and which version of which table it made."""


def current(folder: Path) -> Local:
    """The newest version of a table. Nobody may commit meanwhile: `history` always begins there."""
    table = DeltaTable(folder)
    [made] = table.history(1)
    commit = CommitProperties(
        custom_metadata={key: made[key] for key in TOLD if key in made},
        app_transactions=[Transaction(table_id(table), table.version())],
    )
    return Local(folder, table, commit)


def copy_table(local: Local, target: str) -> tuple[int, int]:
    """Make the table at `target` hold the local version's files; returns what was uploaded."""
    remote, ours, theirs = open_remote(target), entries(local.table), {}
    if remote:
        require_ours(remote, local.table)
        theirs = entries(remote)
    new = {path: entry for path, entry in ours.items() if path not in theirs}
    gone = {path: entry for path, entry in theirs.items() if path not in ours}
    if remote and not new and not gone:
        return 0, 0
    files, size = upload(local.folder, new, target)
    commit(local, remote, new, gone, target)
    done = f"{files} files, {size / 1e6:.1f} MB uploaded"
    print(f"object store: {target} holds what {local.folder.name} holds; {done}", flush=True)
    return files, size


def open_remote(target: str) -> DeltaTable | None:
    """A table in the store; None before its first version."""
    if not DeltaTable.is_deltatable(target, DELTA_OPTIONS):
        return None
    return DeltaTable(target, storage_options=DELTA_OPTIONS)


def require_ours(remote: DeltaTable, local: DeltaTable | None) -> None:
    """Raises JobError unless the remote table is a copy of this local one."""
    if not local or remote.transaction_version(table_id(local)) is None:
        raise JobError(
            f"{remote.table_uri} is not a copy of this warehouse's table: another warehouse, or "
            "something else, has written it. Give each warehouse a place of its own by "
            "publish.object_store, or remove the tables there. Nothing was changed there."
        )


def table_id(table: DeltaTable) -> str:
    """What tells a table from all others; it stays the same over all versions."""
    return str(table.metadata().id)


def entries(table: DeltaTable) -> dict[str, Entry]:
    """The files of a version by their path within the table's folder."""
    found: Any = table.get_add_actions()
    paths, sizes = found["path"].to_pylist(), found["size_bytes"].to_pylist()
    times = found["modification_time"].to_pylist()
    partitions: list[dict[str, Any]] = [{}] * len(paths)
    if "partition" in found.column_names:
        partitions = found["partition"].to_pylist()
    return {
        unquote(path): Entry(
            size,
            int(at),
            {key: None if value is None else str(value) for key, value in values.items()},
        )
        for path, size, at, values in zip(paths, sizes, times, partitions, strict=True)
    }


def upload(folder: Path, files: dict[str, Entry], target: str) -> tuple[int, int]:
    """Upload files that are not there yet, in parts of 5 MiB; returns how many, and their bytes."""
    store, count, size = open_store(target), 0, 0
    for path, entry in files.items():
        # Objects appear whole, and no two files ever get the same name.
        if size_there(store, path) != entry.size:
            put(store, path, folder / path)
            count, size = count + 1, size + entry.size
    return count, size


def put(store: Any, path: str, file: Path) -> None:
    """Upload one file in parts, of which a few are under way at once."""
    try:
        obstore.put(store, path, file, max_concurrency=4)
    except FAILURES:
        # Where the answer to the last part got lost, the client asks again, and the store then
        # knows of no upload any more.
        if size_there(store, path) != file.stat().st_size:
            raise


def size_there(store: Any, path: str) -> int | None:
    """Bytes of an object; None if there is none."""
    try:
        return obstore.head(store, path)["size"]
    except FileNotFoundError:
        return None


def commit(
    local: Local,
    remote: DeltaTable | None,
    new: dict[str, Entry],
    gone: dict[str, Entry],
    target: str,
) -> None:
    """Take files in and out in one commit.

    A column that the local table has gained is added by a commit of its own before, which changes
    no row.
    """
    # pyarrow takes longer to import than a query takes.
    from jobs.published.parquet import read_footer, statistics

    schema, partition_by = local.table.schema(), local.table.metadata().partition_columns
    added = [
        AddAction(
            path=path,
            size=entry.size,
            partition_values=entry.partition,
            modification_time=entry.modification_time,
            data_change=True,
            stats=json.dumps(statistics(read_footer(local.folder / path))),
        )
        for path, entry in new.items()
    ]
    if remote is None:
        create_table_with_add_actions(
            target,
            schema,
            added,
            partition_by=partition_by,
            commit_properties=local.commit,
            storage_options=DELTA_OPTIONS,
        )
        return
    add_columns(remote, schema)
    now = int(time.time() * 1000)
    removed = [
        RemoveAction(path, True, now, entry.size, entry.partition) for path, entry in gone.items()
    ]
    remote.create_write_transaction(
        [*added, *removed], "append", schema, partition_by, commit_properties=local.commit
    )


def add_columns(remote: DeltaTable, schema: Schema) -> None:
    """Give the remote table the columns that it lacks. Raises JobError if one has another type."""
    there = {field.name: field for field in remote.schema().fields}
    for field in schema.fields:
        if field.name in there and there[field.name].type != field.type:
            raise JobError(
                f"{remote.table_uri}: column {field.name} is {there[field.name].type} there and "
                f"{field.type} here. Remove the table there, then copy it anew: nightreel sink"
            )
    if missing := [field for field in schema.fields if field.name not in there]:
        remote.alter.add_columns(missing)
        remote.update_incremental()
