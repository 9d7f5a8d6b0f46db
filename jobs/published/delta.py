"""The published tables: Delta Lake tables over the Parquet files that Spark wrote.

Files are first placed in the table's folder, under names that no version has used, where no reader
looks. One commit then takes the replaced files out of the table and these in: a reader sees the
table before or after it, and a job killed at any moment leaves the table as it was. The kernel
copies the files; no data passes through this process's memory.
"""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, CommitProperties, create_table_with_add_actions

from jobs.engines.duck import parquet_files
from jobs.runs.errors import JobError
from jobs.runs.warehouse import Warehouse


class Commit(NamedTuple):
    """What made one version of a table."""

    version: int
    at: datetime
    """In UTC."""
    run_id: str | None
    """The run that published it; None for what no run made, such as a restore."""
    model_version: str | None
    operation: str
    """As Delta names it; of a restore with the version restored, as in RESTORE 3."""


class File(NamedTuple):
    """A file of a version."""

    partition: str
    """As in ds=2026-11-23; "all rows" in a table without partitions."""
    path: str
    """As in the log, URL-encoded."""
    rows: int


def is_published(warehouse: Warehouse, name: str) -> bool:
    """Whether the table has any version yet."""
    return DeltaTable.is_deltatable(warehouse.table(name))


def open_table(warehouse: Warehouse, name: str) -> DeltaTable:
    """The table at its current version. Raises JobError before the first."""
    if not is_published(warehouse, name):
        raise JobError(
            f"There is no table {name} in {warehouse} yet. Publish one with: make nightly. "
            "Elsewhere than there: --warehouse, or NIGHTREEL_WAREHOUSE."
        )
    return DeltaTable(warehouse.table(name))


def file_paths(table: DeltaTable, where: str | None = None) -> list[str]:
    """The files of a version as paths, which delta-rs returns URL-encoded.

    With `where`, in SQL, only those that may hold such rows, by the log's bounds of each file.
    """
    return [unquote(uri) for uri in table.file_uris(file_pruning_predicate=where)]


def history(table: DeltaTable) -> list[Commit]:
    """The commits that the log still holds, newest first; Delta forgets them after 30 days."""
    return [
        Commit(
            version=commit["version"],
            at=datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
            run_id=commit.get("run_id"),
            model_version=commit.get("model_version"),
            operation=f"{commit['operation']} {commit.get('restored_version', '')}".strip(),
        )
        for commit in table.history()
    ]


def commit_at(commits: list[Commit], moment: datetime) -> Commit | None:
    """Of commits, newest first, the one whose version was current at a moment; None before all."""
    return next((commit for commit in commits if commit.at <= moment), None)


def files_of(table: DeltaTable) -> set[File]:
    """The files of a version, with the rows of each as the log has counted them."""
    actions = table.get_add_actions()
    paths, rows = actions["path"].to_pylist(), actions["num_records"].to_pylist()
    partitions = ["all rows"] * len(paths)
    if "partition" in actions.column_names:
        values = actions["partition"].to_pylist()
        partitions = [", ".join(f"{key}={value}" for key, value in of.items()) for of in values]
    return set(map(File, partitions, paths, rows))


def publish_files(
    table: Path,
    source: Path,
    schema_json: str,
    partition_by: list[str],
    replace: dict[str, str],
    metadata: dict[str, Any],
) -> int:
    """Replace one partition, or with `replace` empty all rows, by the Parquet files in `source`.

    `source` holds what Spark wrote with partitionBy(*partition_by); where it holds no rows, the
    partition becomes empty. The table is created if need be. `schema_json` is Spark's and Delta's
    StructType in JSON; `metadata` goes into the commit. Returns the table's new version. Raises
    JobError, with the table as it was, if a file has other columns or lies in another partition.
    """
    schema = Schema.from_json(schema_json)
    actions = place_files(table, source, schema_json, partition_by, replace)
    commit = CommitProperties(custom_metadata=metadata)
    if not DeltaTable.is_deltatable(table):
        create_table_with_add_actions(
            str(table), schema, actions, partition_by=partition_by, commit_properties=commit
        )
        return DeltaTable(table).version()
    current = DeltaTable(table)
    current.create_write_transaction(
        list(actions),
        "overwrite",
        schema,
        partition_by,
        partition_filters=[(key, "=", value) for key, value in replace.items()] or None,
        commit_properties=commit,
    )
    # A table object stays at its version, even after its own commit.
    current.update_incremental()
    return current.version()


def place_files(
    table: Path, source: Path, schema_json: str, partition_by: list[str], replace: dict[str, str]
) -> list[AddAction]:
    """Check the files, copy them into the table's folder, and return what to commit."""
    # pyarrow takes longer to import than a query takes, and only publishing needs it.
    from jobs.published.parquet import check_columns, read_footer, statistics

    if not source.is_dir():
        raise JobError(f"Nothing to publish: the folder {source} does not exist.")
    attempt = uuid.uuid4().hex
    actions = []
    for number, file in enumerate(parquet_files(source)):
        footer = read_footer(file)
        # Spark writes an empty file rather than none.
        if footer.num_rows == 0:
            continue
        partition = partition_of(file.relative_to(source), partition_by)
        if not replace.items() <= partition.items():
            raise JobError(f"{file} lies outside the partition that it should replace: {replace}.")
        check_columns(file, footer, schema_json, partition_by)
        folders = [f"{key}={value}" for key, value in partition.items()]
        path = Path(*folders) / f"part-{number:05d}-{attempt}.parquet"
        # A copy, not a hard link: an earlier version must stay as it was even if somebody writes
        # into the run's files again.
        (table / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, table / path)
        status = file.stat()
        action = AddAction(
            path=path.as_posix(),
            size=status.st_size,
            partition_values=partition,
            modification_time=int(status.st_mtime * 1000),
            data_change=True,
            stats=json.dumps(statistics(footer)),
        )
        actions.append(action)
    return actions


def partition_of(file: Path, partition_by: list[str]) -> dict[str, str]:
    """Partition values from folders such as ds=2026-11-23. Raises JobError for other folders."""
    pairs = [part.partition("=") for part in file.parent.parts]
    if [key for key, _, _ in pairs] != partition_by:
        wanted = "/".join(f"{column}=..." for column in partition_by) or "no folder"
        raise JobError(f"Expected Parquet files in {wanted}, found {file}.")
    return {key: value for key, _, value in pairs}
