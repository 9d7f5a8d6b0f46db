"""The published tables: Delta Lake tables over the Parquet files that Spark wrote.

Files are first placed in the table's folder, under names that no version has used, where no reader
looks, and forced to disk. One commit then takes the replaced files out of the table and these in: a
reader sees the table before or after it, and a job killed at any moment leaves the table as it was.
Files are hard links to those of the run where the file system has them, else copies.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, CommitProperties, create_table_with_add_actions

from jobs.engines.duck import parquet_files
from jobs.published.log import (
    NO_CHECKPOINT,
    commit_file,
    commit_info,
    committing,
    newest_version,
    sync_commit,
    versions_on_disk,
)
from jobs.runs.errors import JobError
from jobs.runs.files import link_or_copy
from jobs.runs.warehouse import Warehouse
from model.files import sync

# Commits among which those of an attempt that has just failed, or died, are looked for.
RECENT = 20


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
    return newest_version(warehouse.table(name)) is not None


def open_table(warehouse: Warehouse, name: str) -> DeltaTable:
    """The table at its newest version, whether or not a whole publish made it.

    What readers are shown, `versions.tables_at` says. Raises JobError before the first.
    """
    version = newest_version(warehouse.table(name))
    if version is None:
        raise no_table(warehouse, name)
    return DeltaTable(warehouse.table(name), version=version)


def no_table(warehouse: Warehouse, name: str) -> JobError:
    """What to do before a table's first version."""
    return JobError(
        f"There is no table {name} in {warehouse} yet. Publish one with: make nightly. "
        "Elsewhere than there: --warehouse, or NIGHTREEL_WAREHOUSE."
    )


def file_paths(table: DeltaTable, where: str | None = None) -> list[str]:
    """The files of a version as paths, which delta-rs returns URL-encoded.

    With `where`, in SQL, only those that may hold such rows, by the log's bounds of each file.
    """
    return [unquote(uri) for uri in table.file_uris(file_pruning_predicate=where)]


def history(table: Path) -> list[Commit]:
    """The commits that the log still holds, newest first; Delta forgets them after 30 days."""
    told = ((version, commit_info(table, version)) for version in versions_on_disk(table))
    return [
        Commit(
            version=version,
            at=datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, UTC),
            run_id=commit.get("run_id"),
            model_version=commit.get("model_version"),
            operation=f"{commit.get('operation')} {commit.get('restored_version', '')}".strip(),
        )
        for version, commit in told
        if commit is not None
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


@dataclass(frozen=True)
class Placed:
    """Files that lie in a table's folder, where nobody looks until a commit names them."""

    table: Path
    schema_json: str
    """Spark's and Delta's StructType in JSON."""
    partition_by: list[str]
    replace: dict[str, str]
    """The partition that they replace; empty: all rows."""
    actions: list[AddAction] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        return [self.table / action.path for action in self.actions]

    def sync(self) -> None:
        """Force the files to disk, then every folder that names one."""
        for file in self.files:
            sync(file)
        above = {folder for file in self.files for folder in file.parents}
        for folder in sorted(above, reverse=True):
            if folder.is_relative_to(self.table.parent):
                sync(folder)

    def remove(self) -> None:
        """Take them away again, and the folders of partitions that held nothing else."""
        for file in self.files:
            file.unlink(missing_ok=True)
            with suppress(OSError):
                if file.parent != self.table:
                    file.parent.rmdir()


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
    with placing(
        Placed(table, schema_json, partition_by, replace), source, new_attempt()
    ) as placed:
        placed.sync()
        return commit_files(placed, metadata)


def new_attempt() -> str:
    """What the names of all files have in common that one attempt places."""
    return uuid.uuid4().hex


@contextmanager
def placing(placed: Placed, source: Path, attempt: str) -> Iterator[Placed]:
    """Check the files in `source` and give them names in the table's folder.

    If the block fails before a commit has named them, they go again: on a full disk they would
    stand in the way of every later attempt.
    """
    try:
        place_files(placed, source, attempt)
        yield placed
    except BaseException:
        if not is_committed(placed.table, attempt):
            placed.remove()
        raise


def is_committed(table: Path, attempt: str) -> bool:
    """Whether one of the newest commits of a table names files of this attempt."""
    newest = versions_on_disk(table)[:RECENT]
    return any(attempt.encode() in commit_file(table, v).read_bytes() for v in newest)


def commit_files(placed: Placed, metadata: dict[str, Any]) -> int:
    """Show placed files to readers, in one commit that is on disk when this returns its version."""
    table, schema = placed.table, Schema.from_json(placed.schema_json)
    told: dict[str, Any] = {
        "commit_properties": CommitProperties(custom_metadata=metadata),
        "post_commithook_properties": NO_CHECKPOINT,
    }
    filters = [(key, "=", value) for key, value in placed.replace.items()]
    with committing(table):
        if not DeltaTable.is_deltatable(table):
            create_table_with_add_actions(
                str(table), schema, placed.actions, partition_by=placed.partition_by, **told
            )
            version = 0
        else:
            current = DeltaTable(table)
            current.create_write_transaction(
                list(placed.actions),
                "overwrite",
                schema,
                placed.partition_by,
                partition_filters=filters or None,
                **told,
            )
            # A table object stays at its version, even after its own commit.
            current.update_incremental()
            version = current.version()
    sync_commit(table, version)
    return version


def place_files(placed: Placed, source: Path, attempt: str) -> None:
    """Check the files and give them names; `placed` then knows what to commit."""
    # pyarrow takes longer to import than a query takes, and only publishing needs it.
    from jobs.published.parquet import check_columns, read_footer, statistics

    if not source.is_dir():
        raise JobError(f"Nothing to publish: the folder {source} does not exist.")
    for number, file in enumerate(parquet_files(source)):
        footer = read_footer(file)
        # Spark writes an empty file rather than none.
        if footer.num_rows == 0:
            continue
        partition = partition_of(file.relative_to(source), placed.partition_by)
        if not placed.replace.items() <= partition.items():
            raise JobError(
                f"{file} lies outside the partition that it should replace: {placed.replace}."
            )
        check_columns(file, footer, placed.schema_json, placed.partition_by)
        folders = [f"{key}={value}" for key, value in partition.items()]
        path = Path(*folders) / f"part-{number:05d}-{attempt}.parquet"
        status = file.stat()
        # Known before it is there, so that half a file is removed too.
        placed.actions.append(
            AddAction(
                path=path.as_posix(),
                size=status.st_size,
                partition_values=partition,
                modification_time=int(status.st_mtime * 1000),
                data_change=True,
                stats=json.dumps(statistics(footer)),
            )
        )
        (placed.table / path).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(file, placed.table / path)


def partition_of(file: Path, partition_by: list[str]) -> dict[str, str]:
    """Partition values from folders such as ds=2026-11-23. Raises JobError for other folders."""
    pairs = [part.partition("=") for part in file.parent.parts]
    if [key for key, _, _ in pairs] != partition_by:
        wanted = "/".join(f"{column}=..." for column in partition_by) or "no folder"
        raise JobError(f"Expected Parquet files in {wanted}, found {file}.")
    return {key: value for key, _, value in pairs}
