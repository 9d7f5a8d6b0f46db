"""Users taken out of the published tables, their earlier versions, and the tables' logs.

One decision shows all tables without them, as a publish does: who is stopped before it has changed
nothing that readers see. After it go the files of earlier versions that name one of them, and from
the logs what those told of their contents: bounds, which may be an id. Those versions can no longer
be read, nor restored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction, CommitProperties, RemoveAction

from jobs.engines.duck import copy, open_memory, parquet_files, quoted
from jobs.published.commit import attempting
from jobs.published.delta import file_paths, is_published
from jobs.published.log import (
    NO_CHECKPOINT,
    commit_file,
    commit_info,
    committing,
    log_of,
    sync_commit,
    versions_on_disk,
)
from jobs.published.parquet import ROWS_OF_GROUP, read_footer, statistics
from jobs.published.runs_table import latest_release
from jobs.published.versions import versions_at
from jobs.published.views import connect
from jobs.published.whole import PART_OF, decide
from jobs.runs.files import replacing
from jobs.runs.schemas import ALONE, PUBLISHED, columns_of
from jobs.runs.warehouse import Warehouse
from jobs.upkeep.traces import QUOTING, People, columns_in
from model.files import sync

# The tables that may name users: in a column of their own, or by what a text quotes.
NAMING = [
    name
    for name, (ddl, _) in PUBLISHED.items()
    if {"user_id", "source_user_id", *QUOTING} & columns_of(ddl).keys()
]
# Those whose rows do not say which run they are of.
WITHOUT_RUN = [name for name in NAMING if "run_id" not in columns_of(PUBLISHED[name][0])]
ERASES = "erases"
"""What a commit says that took users out: how many were asked for."""
WHOSE = {"run_id", "ds", "model_version"}
"""What a commit says of whose rows a table has, and of which date, by which others go."""


def rows_of(warehouse: Warehouse, release: str, people: People) -> dict[str, str]:
    """DuckDB's conditions for the rows of each table that name people of a release.

    Tables that are not published, or hold nothing of the release, are left out.
    """
    # Tables without runs are those of the newest.
    is_clean = latest_release(warehouse) == release
    wanted = {}
    for name in filter(lambda name: is_published(warehouse, name), NAMING):
        columns = columns_of(PUBLISHED[name][0])
        where = people.named_in(columns)
        if where is not None and ("run_id" in columns or is_clean):
            wanted[name] = where
    return wanted


def count(warehouse: Warehouse, wanted: dict[str, str]) -> dict[str, int]:
    """How many rows that readers see meet each table's condition."""
    found = {}
    shown = versions_at(warehouse, None)
    for name in wanted.keys() & shown.keys():
        with connect(warehouse, (name,)) as tables:
            query = f"select count(*) from {name} where {wanted[name]}"
            [(found[name],)] = tables.execute(query).fetchall()
    return {name: found[name] for name in NAMING if found.get(name)}


def take_out(warehouse: Warehouse, names: Iterable[str], people: People) -> None:
    """Show tables without the rows that name people; the caller holds the lock of publish."""
    changed = False
    with attempting(warehouse) as attempt:
        for name in names:
            folder, table = warehouse.table(name), DeltaTable(warehouse.table(name))
            actions = place_rest(folder, table, people, attempt)
            if not actions:
                continue
            made = commit_info(folder, table.version()) or {}
            told: dict[str, Any] = {each: made[each] for each in WHOSE & made.keys()}
            told |= {ERASES: str(len(people.ids))} | ({} if name in ALONE else {PART_OF: attempt})
            with committing(folder):
                table.create_write_transaction(
                    actions,
                    "append",
                    table.schema(),
                    table.metadata().partition_columns,
                    commit_properties=CommitProperties(custom_metadata=told),
                    post_commithook_properties=NO_CHECKPOINT,
                )
            table.update_incremental()
            sync_commit(folder, table.version())
            changed |= name not in ALONE
        if changed:
            decide(warehouse)


def place_rest(
    folder: Path, table: DeltaTable, people: People, attempt: str
) -> list[AddAction | RemoveAction]:
    """Write each file that names people anew without them; returns what puts it in its place.

    delta-rs would do so itself, in text types that the pyarrow that petastorm needs cannot read.
    """
    actions: list[AddAction | RemoveAction] = []
    files: Any = table.get_add_actions()
    paths, now = files["path"].to_pylist(), time.time_ns() // 10**6
    partitions: list[dict[str, Any]] = [{}] * len(paths)
    if "partition" in files.column_names:
        partitions = files["partition"].to_pylist()
    for number, (path, partition) in enumerate(zip(paths, partitions, strict=True)):
        file = folder / unquote(path)
        values: dict[str, str | None] = {key: str(value) for key, value in partition.items()}
        if values.get("run_id") in people.others or not people.are_in(file):
            continue
        actions.append(RemoveAction(path, True, now, file.stat().st_size, values))
        rest = file.with_name(f"part-{number:05d}-{attempt}.parquet")
        if not write_rest(file, rest, people, keeps=folder.name == "quality"):
            rest.unlink()
            continue
        sync(rest)
        sync(rest.parent)
        placed = rest.relative_to(folder).as_posix()
        bounds = json.dumps(statistics(read_footer(rest)))
        actions.append(AddAction(placed, rest.stat().st_size, values, now, True, bounds))
    return actions


def write_rest(file: Path, rest: Path, people: People, keeps: bool) -> int:
    """Write the rows of a file without those that name people; returns how many.

    If it `keeps` them, as what a rule has found, they lose but the rows that it shows.
    """
    rows = f"read_parquet({quoted(str(file))}, hive_partitioning = false)"
    with open_memory() as connection:
        where = people.named_in(columns_in(connection, rows))
        query = f"select * from {rows} where ({where}) is not true"
        if keeps:
            shown = f"case when {where} then null else example end"
            query = f"select * replace ({shown} as example) from {rows}"
        return copy(connection, query, rest, f", row_group_size {ROWS_OF_GROUP}")


def remove_earlier(warehouse: Warehouse, people: People) -> int:
    """Remove the files that only earlier versions have, and that name people; returns how many.

    Files of other releases stay: rows name their run, or else the log says whose a file is. Where
    it has forgotten, the file goes.
    """
    removed = 0
    for name in filter(lambda name: is_published(warehouse, name), NAMING):
        folder = warehouse.table(name)
        current = set(map(Path, file_paths(DeltaTable(folder))))
        # A commit that took somebody out of a table has files of several releases.
        made_by = runs_of_files(folder) if name in WITHOUT_RUN else {}
        for file in parquet_files(folder):
            if file in current or made_by.get(file, run_in(file)) in people.others:
                continue
            if people.are_in(file):
                file.unlink()
                removed += 1
        clean_log(folder)
    return removed


def run_in(file: Path) -> str | None:
    """The run that a file's folder names, where tables are partitioned by it."""
    parts = (part.partition("=") for part in file.parts)
    return next((unquote(value) for key, _, value in parts if key == "run_id"), None)


def runs_of_files(table: Path) -> dict[Path, str]:
    """The run of the commit that first had each file of a table, as far as the log knows."""
    runs: dict[Path, str] = {}
    for version in reversed(versions_on_disk(table)):
        run_id = (commit_info(table, version) or {}).get("run_id")
        if run_id is None:
            continue
        for line in commit_file(table, version).read_text(encoding="utf-8").splitlines():
            if added := json.loads(line).get("add") if line.strip() else None:
                runs.setdefault(table / unquote(added["path"]), run_id)
    return runs


def clean_log(table: Path) -> None:
    """Take from a table's log what it tells of the contents of files that are gone."""
    for file in sorted(log_of(table).glob("*.json")):
        lines = file.read_text(encoding="utf-8").splitlines()
        cleaned = [clean_action(table, line) for line in lines]
        if cleaned != lines:
            with replacing(file) as new:
                new.write_text("\n".join(cleaned) + "\n", encoding="utf-8")
    for file in log_of(table).glob("*.checkpoint.parquet"):
        clean_checkpoint(table, file)


def clean_action(table: Path, line: str) -> str:
    """A line of a commit, as it may stay."""
    action = json.loads(line) if line.strip() else {}
    added = action.get("add")
    if not added or "stats" not in added or is_there(table, added["path"]):
        return line
    del added["stats"]
    return json.dumps(action, separators=(",", ":"))


def is_there(table: Path, path: str) -> bool:
    """Whether a file of a table, as its log names it, is still there."""
    return (table / unquote(path)).is_file()


def clean_checkpoint(table: Path, file: Path) -> None:
    """The same of a checkpoint, which sums up the commits before it."""
    content = pq.read_table(file)
    added = content["add"].combine_chunks()
    paths = added.field("path").to_pylist()
    told = added.field("stats").to_pylist()
    stats = [
        text if path is not None and is_there(table, path) else None
        for path, text in zip(paths, told, strict=True)
    ]
    if stats == told:
        return
    fields = list(added.type)
    arrays = [
        pa.array(stats, field.type) if field.name == "stats" else added.field(field.name)
        for field in fields
    ]
    cleaned = pa.StructArray.from_arrays(arrays, fields=fields, mask=added.is_null())
    place = content.schema.get_field_index("add")
    with replacing(file) as new:
        pq.write_table(content.set_column(place, content.schema.field(place), cleaned), new)
